local commit = require("appmgr.leader.commit")

describe("a commit", function()
  --- Writes two batches; the first is answered so.
  local function ended(answer, err)
    local told
    commit.run({
      batches = { "1", "2" }, may_write = function() return true end, on_answer = function() end,
      client = { transaction = function(_, body, _, callback)
        assert.equal("1", body)
        callback(answer, err)
        return { cancel = function() end }
      end },
      on_end = function(how, _, is_unsure) told = { how, is_unsure or false } end,
    })
    return told
  end

  it("that is refused has written nothing", function()
    assert.same({ "refused", false }, ended({ status = 409, body = "{}" }))
  end)

  it("that is refused by another server may be written yet by the first", function()
    assert.same({ "refused", true }, ended({ status = 409, body = "{}", is_second_try = true }))
  end)

  it("that is not answered may be written yet", function()
    assert.same({ "failed", true }, ended(nil, { kind = "transport", message = "timeout" }))
  end)
end)
