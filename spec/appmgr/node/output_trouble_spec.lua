local output_trouble = require("appmgr.node.output_trouble")

local function text(state, dropped)
  return output_trouble.text(output_trouble.of({ output_state = state, output_error = "No space left on device",
    output_dropped = dropped }), "/log/web.log")
end

describe("output that cannot be written", function()
  it("is nothing to speak of while it can", function()
    assert.is_nil(output_trouble.of({}))
    assert.is_nil(output_trouble.of({ output_state = "well", output_dropped = 5 }))
  end)

  it("says how much is lost in steps, so that the text changes seldom", function()
    assert.equal("its output is dropped: /log/web.log: No space left on device; nothing so far", text("dropping", 0))
    assert.matches("at least 512 bytes so far", text("dropping", 1023))
    assert.matches("at least 64 KiB so far", text("dropping", 100000))
    assert.equal(text("dropping", 66000), text("dropping", 131071))
    assert.matches("at least 2 GiB so far", text("dropping", 3 << 30))
  end)

  it("says that nothing is lost while its application waits", function()
    assert.equal("its output waits: /log/web.log: No space left on device", text("waiting", 0))
  end)
end)
