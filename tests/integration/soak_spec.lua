--- 1,000 applications, while agent, keeper and logger are killed at random moments and the keeper is upgraded in between:
-- at the end the same 1,000 processes run, each once, and no line of what the writers among them wrote is missing.
--
-- APPMGR_SOAK_S says how long (default 40), APPMGR_SOAK_SEED which sequence; it is another one in every run and is printed.
local json = require("dkjson")
local uv = require("luv")
local Agent = require("tests.lib.agent")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local APPLICATIONS, WRITERS = 1000, 10
local SOAK_S = tonumber(os.getenv("APPMGR_SOAK_S") or "40")
local SEED = math.tointeger(tonumber(os.getenv("APPMGR_SOAK_SEED"))) or os.time()
local LINES_PER_SECOND = 200

describe("1,000 applications", function()
  local test, alpha, writer

  setup(function()
    io.write(("APPMGR_SOAK_SEED=%d\n"):format(SEED))
    math.randomseed(SEED)
    test = harness.open()
    local list = {}
    for i = 1, APPLICATIONS - WRITERS do list[i] = {name = "quiet" .. i, command = test:sleeper("quiet")} end
    writer = ("%s/tests/writer %d"):format(Agent.build_dir, LINES_PER_SECOND)
    for i = 1, WRITERS do
      -- Rotated a few times on the way, with room for all that is written.
      list[#list + 1] = {name = "writer" .. i, command = writer, output = {max_mb = 0.1, files = 100}}
    end
    alpha = test:agent("alpha", {config = {Applications = list}})
  end)

  teardown(function() test:close() end)

  --- Pids of all applications, by what the agent says; nil while it does not know all of them.
  local function known_pids()
    local result = alpha:cli("app", "ls", "--json", {timeout_ms = 20000})
    if result.code ~= 0 then return nil, result.stderr end
    local pids, count = {}, 0
    for _, row in ipairs(json.decode(result.stdout)) do
      if row.pid then pids[row.name], count = row.pid, count + 1 end
    end
    return count == APPLICATIONS and pids, ("%d run"):format(count)
  end

  local function kill(pid)
    if pid then uv.kill(pid, "sigkill") end
  end

  local function logger_pid()
    for _, pid in ipairs(process.find(alpha.state_dir)) do
      if process.command_line(pid):find("--logger", 1, true) then return pid end
    end
  end

  local function restart_agent()
    alpha:stop("sigkill")
    loop.pass(math.random(0, 500))
    alpha:start()
  end

  local events = {
    restart_agent,
    restart_agent,
    function() kill(logger_pid()) end,
    function() kill(alpha:keeper_pid()) end,
    function()
      kill(alpha:keeper_pid())
      restart_agent()
    end,
    function() alpha:cli("keeper", "upgrade", {timeout_ms = 20000}) end,
  }

  --- The numbers of all whole lines of a writer, of all its files.
  local function lines_of(name)
    local seen, highest = {}, -1
    for number = 100, 0, -1 do
      local path = ("%s/log/%s.log%s"):format(alpha.state_dir, name, number > 0 and "." .. number or "")
      for line in process.slurp(path):gmatch("(%d%d%d%d%d%d%d%d%d%d%d%d) the quick brown fox jumps over the lazy dog and so on\n") do
        local value = tonumber(line)
        seen[value], highest = true, math.max(highest, value)
      end
    end
    return seen, highest
  end

  it("are the same processes after all that, each once, and no line is missing", function()
    alpha:start()
    local before = loop.wait_for("all run", 60000, known_pids)
    local limit = loop.now_ms() + SOAK_S * 1000
    while loop.now_ms() < limit do
      events[math.random(#events)]()
      loop.pass(math.random(0, 2000))
    end
    local after = loop.wait_for("all are known again", 60000, known_pids)
    assert.same(before, after)
    assert.equal(APPLICATIONS - WRITERS, #test:sleepers("quiet"))
    local count = 0
    for name, pid in pairs(after) do
      if name:find("^writer") then
        count = count + 1
        uv.kill(pid, "sigstop")
        assert.equal(writer, process.command_line(pid))
      end
    end
    assert.equal(WRITERS, count)
    for i = 1, WRITERS do
      loop.wait_for("all lines of writer" .. i .. " are there", 10000, function()
        local seen, highest = lines_of("writer" .. i)
        for number = 0, highest do
          if not seen[number] then return false, ("line %d of %d is missing"):format(number, highest) end
        end
        return highest > SOAK_S * LINES_PER_SECOND / 2, ("%d lines"):format(highest)
      end)
    end
  end)
end)
