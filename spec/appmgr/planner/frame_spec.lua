require("spec.support.core")
local frame = require("appmgr.planner.frame")

describe("frame", function()
  it("carries a header and raw bytes", function()
    local bytes = "\0\1\n{}\n" .. string.char(255)
    local header, body = frame.decode(frame.encode({ type = "feed", text = "a\nb" }, bytes))
    assert.same({ type = "feed", text = "a\nb" }, header)
    assert.equal(bytes, body)
    assert.equal("", select(2, frame.decode(frame.encode({ type = "report" }))))
  end)

  it("refuses what is none", function()
    for _, bytes in ipairs({ "", "{}", "{}\n", "[1]\n", "x\n", '{"type":1}\n', "\n" }) do
      local header, reason = frame.decode(bytes)
      assert.is_nil(header)
      assert.equal("string", type(reason))
    end
  end)
end)
