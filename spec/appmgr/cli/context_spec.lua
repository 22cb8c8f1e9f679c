require("spec.support.core")
local Context = require("appmgr.cli.context")

describe("a question of a command", function()
  it("comes after what it is about, where stdout is a file or a pipe, too", function()
    local seen = {}
    local function handle(is_buffered)
      local kept = {}
      local self = {}
      function self.flush()
        seen[#seen + 1], kept = table.concat(kept), {}
        return self
      end
      function self.write(_, ...)
        kept[#kept + 1] = table.concat({ ... })
        return is_buffered and self or self.flush()
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

describe("an answer that cannot be written", function()
  local told, code

  --- A context whose standard output fails, in the write or, as a buffered one does, not before the flush.
  local function context(place, message, number)
    told, code = {}, nil
    local function fail() return nil, message, number end
    local function well() return true end
    return Context.new({
      core = { runtime = { version = "1" } }, getenv = function() end,
      stdout = { write = place == "write" and fail or well, flush = fail },
      stderr = { write = function(_, ...) told[#told + 1] = table.concat({ ... }) end },
      exit = function(number_of) error({ code = number_of }) end,
    })
  end

  local function exit_of(action)
    local ended, err = pcall(action)
    assert.is_false(ended)
    code = err.code
  end

  for name, action in pairs({
    print = function(of) of:print("text") end, print_json = function(of) of:print_json({}) end,
    write = function(of) of:write("bytes") end,
  }) do
    it("ends the command with 1, and says why: " .. name, function()
      local full = context("write", "No space left on device", 28)
      exit_of(function() action(full) end)
      assert.equal(1, code)
      assert.same({ "appmgr: standard output: No space left on device\n" }, told)
    end)
  end

  it("is noticed when what was kept back is written at last", function()
    local full = context("flush", "No space left on device", 28)
    full:print("text")
    exit_of(function() full:flush() end)
    assert.equal(1, code)
  end)

  it("because its reader went away ends the command in silence", function()
    local gone = context("write", "Broken pipe", 32)
    exit_of(function() gone:print("text") end)
    assert.equal(1, code)
    assert.same({}, told)
  end)
end)
