require("spec.support.core")
local task_table = require("appmgr.cli.task_table")

--- A row of a report, and the table made of it.
local function shown(fields)
  local task = {
    name = "web", replication = 1, running = 0, assigned = 1, pending = 0, warnings = {},
    slots = { { slot = 0, node = "alpha", state = fields.slot_state or "starting" } },
  }
  for name, value in pairs(fields) do task[name] = value end
  return task_table.tasks({ tasks = { task }, problems = {} })
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
end

describe("the table of tasks", function()
  it("tells what starts from what fails and what is switched off", function()
    has(shown({}), "alpha  starting")
    has(shown({ slot_state = "backoff" }), "alpha  failing")
    has(shown({ slot_state = "gave_up" }), "alpha  failing")
    has(shown({ slot_state = "blocked" }), "alpha  failing")
    has(shown({ slot_state = "disabled" }), "alpha  disabled")
    has(shown({ slot_state = "waiting" }), "alpha  waiting")
    has(shown({ slot_state = "running", running = 1 }), "alpha  ok")
  end)

  it("says of what is on a node that is gone until when it stays there", function()
    local function slot(number, until_time)
      return { slot = number, node = "beta", state = "away", grace = { since = 0, until_time = until_time } }
    end
    local function time(at) return os.date("%Y-%m-%d %H:%M:%S", at) end
    local text = shown({ slots = { slot(0, 60), slot(1, 60), slot(2) }, assigned = 3 })
    has(text, "beta(3)  away")
    has(text, ('task "web": slot 0, 1 on node beta, which is gone since %s; it stays there until %s\n'):format(time(0), time(60)))
    has(text, ('slot 2 on node beta, which is gone since %s; it stays there until the node is back, or somebody confirms'):format(time(0)))
  end)

  it("says once why slots do not run", function()
    local function slot(number, text) return { slot = number, node = "alpha", state = "failed", error = text } end
    local text = shown({ slots = { slot(0, "ENOENT: exec x"), slot(1, "ENOENT: exec x"), slot(2, "EACCES: exec y") } })
    has(text, 'task "web": slot 0 on alpha: ENOENT: exec x')
    has(text, 'task "web": slot 2 on alpha: EACCES: exec y')
    assert.is_nil(text:find("slot 1", 1, true))
  end)

  it("never calls a task fine that is held back, though what runs of it runs", function()
    local text = shown({ slot_state = "running", running = 1, reason = "it asks for too much" })
    has(text, "alpha  pending")
    has(text, 'task "web": pending: it asks for too much')
  end)

  it("tells what moves for balance, and why", function()
    local text = shown({ slot_state = "running", running = 2, slots = {
      { slot = 0, node = "alpha", state = "running", moving_to = { node = "beta", slot = 1, why = "score -3 → -1" } },
      { slot = 1, node = "beta", state = "assigned" },
    } })
    has(text, "alpha beta  moving")
    has(text, 'task "web": slot 0 moves from alpha to beta as slot 1: score -3 → -1')
  end)

  it("says an error once", function()
    local text = shown({ error = "is no JSON", reason = "the document cannot be used: is no JSON" })
    has(text, 'task "web": is no JSON; what runs of it stays as it is')
    assert.is_nil(text:find("cannot be used", 1, true))
  end)
end)
