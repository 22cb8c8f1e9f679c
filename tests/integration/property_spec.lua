--- Random sequences of what can happen to a node, against a model of what should run: afterwards that runs, once, and at no
-- time anything twice.
--
-- The sequences are the same in every run; APPMGR_PROPERTY_SEED chooses another one and APPMGR_PROPERTY_STEPS its length.
local uv = require("luv")
local Agent = require("tests.lib.agent")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local SEEDS = {1, 2, 3}
local STEPS = tonumber(os.getenv("APPMGR_PROPERTY_STEPS") or "40")
local STEPS_A_LOOK = 4
local APPLICATIONS = 8
local RESTART = {delay_seconds = 0.1, max_delay_seconds = 0.3}

describe("random sequences of events", function()
  local test, alpha, random, model, by_command, history, count

  setup(function() test = harness.open() end)
  teardown(function() test:close() end)

  --- The command of an application's document as it is now; each change of the document makes another one.
  local function command_of(one)
    return test:sleeper(("%s.%d"):format(one.name, one.edition))
  end

  local function configuration()
    local list = {}
    for _, one in ipairs(model) do
      local command = command_of(one)
      by_command[command] = one
      if one.is_present then list[#list + 1] = {name = one.name, command = command, restart = RESTART} end
    end
    return list
  end

  local function is_up() return alpha.process ~= nil and alpha.process:is_running() end

  local function reload()
    alpha:configure{Applications = configuration()}
    if is_up() then alpha.process:kill("sighup") end
  end

  --- What runs: application → its processes. Nothing may run twice, whenever one looks.
  local function look()
    local seen = {}
    for _, pid in ipairs(process.find(("sleep 100000 0.000%d"):format(uv.os_getpid()))) do
      local one = by_command[process.command_line(pid)]
      if one then
        seen[one] = seen[one] or {}
        table.insert(seen[one], pid)
      end
    end
    for one, pids in pairs(seen) do
      if #pids > 1 and process.look(pids[1]) and process.look(pids[2]) then
        error(("%s runs twice: %s; %s"):format(one.name, table.concat(pids, " "), table.concat(history, ", ")))
      end
    end
    return seen
  end

  --- What is not as it should be; nil when all is.
  local function difference()
    local seen = look()
    for _, one in ipairs(model) do
      local pid = seen[one] and seen[one][1]
      local wanted = one.is_present and one.is_enabled
      if wanted and not pid then return one.name .. " does not run" end
      if pid and not wanted then return one.name .. " runs" end
      if pid and process.command_line(pid) ~= command_of(one) then return one.name .. " runs an old edition" end
    end
  end

  local function check()
    if not is_up() then alpha:start() end
    loop.wait_for("what should run runs, after " .. table.concat(history, ", "), 20000, function()
      local wrong = difference()
      return not wrong, wrong and wrong .. "\n" .. alpha:log():sub(-3000)
    end)
    loop.hold("what should run runs, after " .. table.concat(history, ", "), 300, function()
      local wrong = difference()
      return not wrong, wrong
    end)
  end

  local function any() return model[random(#model)] end

  local function ask(...)
    local result = alpha:cli(...)
    assert(result.code == 0, result.stderr)
  end

  --- Waits until the agent has read its configuration: what is said by hand of an application counts for the one it knows.
  local function wait_until_known(one)
    loop.wait_for(one.name .. " is known as it is", 10000, function()
      local result = alpha:cli("app", "show", one.name)
      return (result.code == 0) == one.is_present, result.stderr
    end)
  end

  local function set_enabled(one, is_enabled)
    if not is_up() or not one.is_present then return false end
    ask("app", is_enabled and "enable" or "disable", one.name)
    one.is_enabled = is_enabled
  end

  --- On a busy machine what was killed is still seen for a while.
  local function kill_all(pids)
    for _, pid in ipairs(pids) do
      local born = process.look(pid) or {}
      uv.kill(pid, "sigkill")
      loop.wait_for("process " .. pid .. " is gone", 10000, function()
        local now = process.look(pid)
        return not now or now.start_ticks ~= born.start_ticks
      end)
    end
  end

  local function logger_pids()
    local list = {}
    for _, pid in ipairs(process.find(alpha.state_dir)) do
      if process.command_line(pid):find("--logger", 1, true) then list[#list + 1] = pid end
    end
    return list
  end

  -- Each returns false when it cannot happen now.
  local events = {
    {"exits", function(one) kill_all(look()[one] or {}) end},
    {"exits again", function(one) kill_all(look()[one] or {}) end},
    {"disabled", function(one) return set_enabled(one, false) end},
    {"enabled", function(one) return set_enabled(one, true) end},
    {"changed", function(one)
      one.edition = one.edition + 1
      reload()
    end},
    {"removed", function(one)
      if not is_up() or not one.is_present then return false end
      -- What was said by hand goes with the application.
      one.is_present, one.is_enabled = false, true
      reload()
      wait_until_known(one)
    end},
    {"added", function(one)
      if not is_up() or one.is_present then return false end
      one.is_present = true
      reload()
      wait_until_known(one)
    end},
    {"agent killed", function()
      if not is_up() then return false end
      alpha:stop("sigkill")
    end},
    {"agent ended", function()
      if not is_up() then return false end
      alpha:stop("sigterm")
    end},
    {"agent started", function()
      if is_up() then return false end
      alpha:start()
    end},
    {"keeper killed", function() kill_all{alpha:keeper_pid()} end},
    {"keeper upgraded", function()
      if not is_up() or not alpha:keeper_pid() then return false end
      alpha:cli("keeper", "upgrade")
    end},
    {"logger killed", function() kill_all(logger_pids()) end},
    {"clock set", function() process.spit(test.dir .. "/clock", tostring(random(-200000, 200000))) end},
  }

  local function step()
    local one, event = any(), events[random(#events)]
    if event[2](one) == false then return step() end
    count[event[1]] = (count[event[1]] or 0) + 1
    history[#history + 1] = event[1]:find("^%a+ed$") and one.name .. " " .. event[1] or event[1]
    look()
  end

  local function run(seed)
    local state = seed
    -- A generator of its own: the same on every machine.
    random = function(from, to)
      if not to then from, to = 1, from end
      state = (state * 6364136223846793005 + 1442695040888963407)
      return from + (state >> 33) % (to - from + 1)
    end
    model, by_command, history, count = {}, {}, {"seed " .. seed}, {}
    for i = 1, APPLICATIONS do
      model[i] = {name = ("s%da%d"):format(seed, i), edition = 1, is_present = i > 2, is_enabled = true}
    end
    process.spit(test.dir .. "/clock", "0")
    alpha = test:agent("alpha" .. seed, {
      config = {Applications = {}},
      env = {LD_PRELOAD = Agent.build_dir .. "/tests/libclock_shift.so", APPMGR_TEST_CLOCK = test.dir .. "/clock"},
    })
    alpha:configure{Applications = configuration()}
    alpha:start()
    check()
    for index = 1, STEPS do
      step()
      if index % STEPS_A_LOOK == 0 then check() end
    end
    check()
    alpha:destroy()
  end

  for _, seed in ipairs(os.getenv("APPMGR_PROPERTY_SEED") and {tonumber(os.getenv("APPMGR_PROPERTY_SEED"))} or SEEDS) do
    it(("leave running what should, once (APPMGR_PROPERTY_SEED=%d)"):format(seed), function() run(seed) end)
  end
end)
