local PolicySource = require("appmgr.node.policy_source")
local Problems = require("appmgr.problems")
local fake_file = require("spec.support.fake_file")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

describe("the configuration's policies", function()
  local file, timer, problems, watched, changes, source

  before_each(function()
    file = fake_file.new({ ["/share/policies/spread.lua"] = "one", ["/etc/mine.lua"] = "two" })
    timer, watched, changes = fake_timer.new(), {}, 0
    problems = Problems.new({ log = fake_log.new(), now = function() return 0 end })
    source = PolicySource.new({
      file = file, timer = timer, log = fake_log.new(), problems = problems, share_dir = "/share",
      file_watch = { start = function(path, fn)
        watched[path] = fn
        return { close = function() watched[path] = nil end }
      end },
      on_change = function() changes = changes + 1 end,
    })
    assert(source:prepare({ name = "spread", shadow = "/etc/mine.lua", options = { a = 1 } }))()
  end)

  local function write(path, text)
    file.texts[path] = text
    watched[path]()
    timer.advance(500)
  end

  it("are read", function()
    assert.same({ "spread", "one", 1 }, { source.policy.name, source.policy.source, source.policy.options.a })
    assert.same({ "mine", "two" }, { source.shadow.name, source.shadow.source })
  end)

  it("are read again when a file changes", function()
    write("/share/policies/spread.lua", "three")
    assert.same({ "three", 1 }, { source.policy.source, changes })
    write("/etc/mine.lua", "four")
    assert.same({ "four", 2 }, { source.shadow.source, changes })
  end)

  it("do not change when a file is written as it was, or is told of twice", function()
    write("/etc/mine.lua", "two")
    file.texts["/etc/mine.lua"] = "five"
    watched["/etc/mine.lua"]()
    watched["/etc/mine.lua"]()
    timer.advance(500)
    assert.equal(1, changes)
  end)

  it("stay while a file is gone, which is told until it is back", function()
    write("/etc/mine.lua", nil)
    assert.equal("two", source.shadow.source)
    assert.truthy(problems:list()[1].text:find("/etc/mine.lua: No such file or directory; what was read before", 1, true))
    write("/etc/mine.lua", "two")
    assert.same({ {}, 0 }, { problems:list(), changes })
  end)

  it("stay as they are when others cannot be read", function()
    assert.is_nil(source:prepare({ name = "none" }))
    local use, err = source:prepare({ name = "spread", shadow = "none" })
    assert.is_nil(use)
    assert.truthy(err:find('shadow: Policy: there is no policy "none"', 1, true))
    assert.equal("two", source.shadow.source)
    write("/etc/mine.lua", "six")
    assert.equal("six", source.shadow.source)
  end)

  it("are used only once they are brought into force", function()
    local use = source:prepare({ name = "mine", shadow = nil, options = nil })
    assert.is_nil(use)
    use = assert(source:prepare({ name = "/etc/mine.lua" }))
    assert.equal("spread", source.policy.name)
    use()
    assert.same({ "mine" }, { source.policy.name, source.shadow })
    assert.is_nil(watched["/share/policies/spread.lua"])
  end)

  it("are watched no more when the agent ends", function()
    watched["/etc/mine.lua"]()
    source:stop()
    timer.advance(500)
    assert.same({}, watched)
    assert.equal(0, timer.pending())
  end)
end)
