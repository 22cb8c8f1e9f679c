local redact = require("appmgr.control.redact")

describe("redact.copy", function()
  it("hides tokens, environment values and passwords, and keeps the rest", function()
    local value = {
      Consul = { url = "http://user:pw@host:1", token = "abc", token_file = "/t", session_TTL = 30 },
      Applications = { { name = "a", env = { KEY = "value" } }, { name = "b", env = { "KEY=value" } } },
      api_token = "x", Password = "y",
    }
    assert.same({
      Consul = { url = "http://(hidden)@host:1", token = "(hidden)", token_file = "/t", session_TTL = 30 },
      Applications = { { name = "a", env = { KEY = "(hidden)" } }, { name = "b", env = { "KEY=(hidden)" } } },
      api_token = "(hidden)", Password = "(hidden)",
    }, redact.copy(value))
    assert.equal("abc", value.Consul.token)
  end)

  it("leaves out functions and ends at cycles", function()
    local value = { a = 1, f = print }
    value.self = value
    assert.same({ a = 1 }, redact.copy(value))
  end)

  it("copies, so that nothing given out can change what is in force", function()
    local value = { a = { 1 } }
    redact.copy(value).a[1] = 2
    assert.equal(1, value.a[1])
  end)
end)
