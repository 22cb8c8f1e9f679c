local core = require("spec.support.core")
local frame = require("appmgr.planner.frame")

describe("the planner process", function()
  local written, main, pipe_before, confined

  before_each(function()
    written, pipe_before, confined = {}, package.loaded["core.pipe"], nil
    package.loaded["appmgr.planner.main"] = nil
  end)

  after_each(function()
    package.loaded["core.pipe"] = pipe_before
  end)

  local function run(messages)
    local position = 0
    package.loaded["core.pipe"] = {
      confine = function() confined = position end,
      read = function()
        position = position + 1
        return messages[position]
      end,
      write = function(payload) written[#written + 1] = frame.decode(payload) end,
    }
    main = require("appmgr.planner.main")
    return main()
  end

  it("answers what needs an answer and ends with its input", function()
    local code = run({
      frame.encode({ type = "configure", prefix = "appmgr", policy = { name = "p", hash = "h" } },
        'return { api = 1, name = "p", score = function() return 0 end }'),
      frame.encode({ type = "feed", topic = "task", status = 404 }),
      frame.encode({ type = "decide", term = 1, snapshot = 2, session = "s", now = 3 }),
    })
    assert.equal(0, code)
    assert.same({ "configured", "decision" }, { written[1].type, written[2].type })
    assert.same({ 1, 2 }, { written[2].term, written[2].snapshot })
    assert.truthy(written[2].frozen)
    assert.is_true(core.json.is_array(written[2].batch_bytes))
  end)

  it("is confined before it reads anything", function()
    run({})
    assert.equal(0, confined)
  end)

  it("survives garbage", function()
    run({ "garbage", "{}\n", frame.encode({ type = "feed", topic = "task", status = 200 }, "x") })
    assert.same({ "error", "error", "error" }, { written[1].type, written[2].type, written[3].type })
  end)
end)
