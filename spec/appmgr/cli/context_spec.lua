require("spec.support.core")
local Context = require("appmgr.cli.context")

describe("a question of a command", function()
  it("comes after what it is about, where stdout is a file or a pipe, too", function()
    local seen = {}
    local function handle(is_buffered)
      local kept = {}
      local self = {}
      function self.flush() seen[#seen + 1], kept = table.concat(kept), {} end
      function self.write(_, ...)
        kept[#kept + 1] = table.concat({ ... })
        if not is_buffered then self.flush() end
      end
      return self
    end
    local context = Context.new({
      core = { runtime = { version = "1" } }, stdout = handle(true), stderr = handle(false), getenv = function() end,
    })
    context:print("the plan")
    context:ask("write this? ")
    assert.equal("the plan\nwrite this? ", table.concat(seen))
  end)
end)
