local Bench = require("appmgr.workbench.bench")
local core = require("spec.support.core")

local json = core.json

describe("the workbench", function()
  local bench, told, clock

  before_each(function()
    told, clock = {}, 0
    bench = Bench.new({
      json = json, codec = core.codec, sandbox = core.sandbox, clock = function() return clock end,
      tell = function(header, body) told[#told + 1] = { header.type, body or header.seed } end,
    })
  end)

  local function load_score(text)
    local source = ("return { api = 1, name = 'mine', score = function(task) %s end }"):format(text)
    return bench:handle({ type = "policy", name = "mine" }, source)
  end

  local function types_of(list)
    local types = {}
    for position, entry in ipairs(list) do types[position] = entry[1] end
    return types
  end

  it("says whether a policy can be loaded, and that it loads it", function()
    assert.same({ type = "loaded", ok = true }, load_score("return 1"))
    local answer = bench:handle({ type = "policy", name = "mine" }, "return 7")
    assert.is_false(answer.ok)
    assert.truthy(answer.error:find("a policy returns a plain table", 1, true))
    assert.same({ "loads", "loads" }, types_of(told))
  end)

  it("tells which task is asked about, before it is", function()
    load_score("return 1")
    bench:handle({ type = "cluster", nodes = 2, tasks = 2, replicas = 1, seed = 1 }, "")
    local answer = bench:handle({ type = "simulate", seed = 1, timeout_s = 10 }, "")
    assert.equal(2, answer.steps[1].placed)
    assert.is_nil(answer.elsewhere)
    local asked = {}
    for _, entry in ipairs(told) do
      if entry[1] == "asks" then asked[#asked + 1] = entry[2] end
    end
    table.sort(asked)
    assert.same({ "t00001", "t00002" }, asked)
    load_score("return 2")
    assert.equal(0, bench:handle({ type = "simulate", seed = 1, timeout_s = 10 }, "").elsewhere)
  end)

  it("counts as moved only what went to another node", function()
    load_score("return 1")
    bench:handle({ type = "cluster", nodes = 6, tasks = 0, replicas = 1, seed = 1 }, "")
    local events = json.encode({
      { apply = { name = "web", replication = 4, content = { name = "web", command = "true" } } },
      { drain = "n00001" }, { lose = "n00002" }, { scale = { name = "web", replication = 3 } }, { remove = "web" },
    })
    local seen = {}
    bench:handle({ type = "events", file = "events.json" }, events)
    for index, step in ipairs(bench:handle({ type = "simulate", seed = 1, timeout_s = 10 }, "").steps) do
      seen[index] = ("%s: %d started, %d moved, %d stopped, %d lost"):format(step.event, step.started, step.moves, step.stopped,
        step.lost)
    end
    assert.same({
      "start: 0 started, 0 moved, 0 stopped, 0 lost",
      "apply web: 4 started, 0 moved, 0 stopped, 0 lost",
      "drain n00001: 1 started, 1 moved, 0 stopped, 0 lost",
      "lose n00002: 1 started, 0 moved, 0 stopped, 1 lost",
      "scale web to 3: 0 started, 0 moved, 1 stopped, 0 lost",
      "remove web: 0 started, 0 moved, 3 stopped, 0 lost",
    }, seen)
  end)

  it("tells what it tries, and of a failing case each time that it is smaller", function()
    load_score("return task.priority > 0 and {} or 1")
    local answer, body = bench:handle({ type = "test", first = 1, clusters = 50 }, "")
    assert.same({ "total", "bad_result" }, { answer.failure.property, answer.failure.outcome })
    assert.is_table(json.decode(body).tasks)
    local count = 0
    for _, entry in ipairs(told) do
      if entry[1] == "smaller" then count = count + 1 end
    end
    assert.truthy(count > 1)
    -- The last one told is the one that is answered.
    local last
    for _, entry in ipairs(told) do
      if entry[1] == "smaller" then last = entry[2] end
    end
    assert.equal(last, body)
  end)

  it("makes a case no smaller when that takes long", function()
    load_score("return {}")
    local tell = bench.deps.tell
    function bench.deps.tell(header, body)
      clock = clock + (header.type == "smaller" and 1 or 0)
      tell(header, body)
    end
    bench:handle({ type = "test", first = 1, clusters = 1 }, "")
    local count = 0
    for _, entry in ipairs(told) do
      if entry[1] == "smaller" then count = count + 1 end
    end
    assert.equal(4, count) -- the first, and those of 3 s
  end)

  it("does not ask a policy for ever that fails slowly", function()
    local calls = 0 -- each look at the clock is 6 s later
    bench.deps.clock = function()
      calls = calls + 1
      return 6 * calls
    end
    load_score("error('slow')")
    bench:handle({ type = "cluster", nodes = 2, tasks = 9, replicas = 1, seed = 1 }, "")
    local failures = bench:handle({ type = "simulate", seed = 1, timeout_s = 10 }, "").failures
    assert.equal(9, #failures)
    assert.same({ "error", "timeout" }, { failures[1].outcome, failures[9].outcome })
    assert.truthy(failures[9].text:find("it took too long for other tasks", 1, true))
  end)

  it("says what is wrong with what it was handed", function()
    load_score("return 1")
    assert.equal("no: is no array of events", bench:handle({ type = "events", file = "no" }, "{}").message)
    assert.truthy(bench:handle({ type = "snapshot" }, "x").message:find("the snapshot is no JSON", 1, true))
    assert.equal("error", bench:handle({ type = "nonsense" }, "").outcome)
  end)
end)
