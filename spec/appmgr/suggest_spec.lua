local suggest = require("appmgr.suggest")

describe("suggest", function()
  local known = { "command", "comments", "replication", "working_dir", "env" }

  it("finds what was meant behind the usual slips", function()
    assert.equal("command", suggest.nearest("comand", known))
    assert.equal("command", suggest.nearest("comamnd", known))
    assert.equal("working_dir", suggest.nearest("workingDir", known))
    assert.equal("env", suggest.nearest("ENV", known))
  end)

  it("stays silent when nothing is near", function()
    assert.is_nil(suggest.nearest("volumes", known))
    assert.is_nil(suggest.nearest(("x"):rep(5000), known))
  end)

  it("breaks ties by the order of words, not of the list", function()
    assert.equal("bat", suggest.nearest("aat", { "cat", "bat" }))
    assert.equal("bat", suggest.nearest("aat", { "bat", "cat" }))
  end)

  it("ends a message with the nearest word or with all of them", function()
    assert.equal('did you mean "env"?', suggest.hint("evn", known))
    assert.equal("known are a, b", suggest.hint("zzzzzz", { "b", "a" }))
  end)
end)
