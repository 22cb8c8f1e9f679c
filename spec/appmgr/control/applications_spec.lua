require("spec.support.core")
local applications = require("appmgr.control.applications")
local clock = require("appmgr.clock")
local fake_request = require("spec.support.fake_request")
local json = require("appmgr.json")

describe("methods about applications", function()
  local agent, rows, changes, runs

  before_each(function()
    rows = {
      { name = "own", state = "running", status = 1 },
      { name = "web", task = "web", state = "running", status = 1 },
      { name = "web#2", task = "web", state = "idle", status = 0 },
    }
    changes, runs = {}, {}
    agent = {
      node = "alpha",
      apps = {
        known = true,
        is_known = function(self) return self.known end,
        is_taken_over = function(self) return self.known end,
        list = function() return rows end,
        row = function(_, name)
          for _, row in ipairs(rows) do
            if row.name == name then return row end
          end
        end,
        restart = function(self, name, callback)
          if self.refusal then return nil, self.refusal end
          changes[#changes + 1] = "restart " .. name
          self.callback = callback
          return true
        end,
        runs = function() return runs end,
      },
    }
  end)

  local function ask(method, params)
    local request = fake_request.new(params)
    applications[method](agent, request)
    return request
  end

  local function is_refused(request, code, pattern)
    assert.equal(code, request.code)
    assert.matches(pattern, request.message)
    assert.same({}, changes)
  end

  it("refuse what is no request, and everything while the agent ends", function()
    is_refused(ask("restart", {}), "bad_request", "name")
    agent.is_ending = true
    is_refused(ask("restart", { name = "own" }), "unavailable", "is ending")
  end)

  it("restart, replicas too, and answer once it runs", function()
    local request = ask("restart", { name = "web" })
    assert.is_nil(request.result)
    agent.apps.callback({ state = "running", pid = 7 })
    assert.same({ name = "web", outcome = "restarted", pid = 7 }, request.result)
    request = ask("restart", { name = "own" })
    agent.apps.callback({ state = "backoff", error = "ENOENT: exec /x" })
    assert.equal('application "own" does not run: ENOENT: exec /x', request.message)
  end)

  it("say why a restart is none, and what would start it", function()
    agent.apps.refusal = "it is disabled"
    rows[1].status = 0
    is_refused(ask("restart", { name = "own" }), "conflict", 'is disabled; "appmgr app enable own" starts it')
    is_refused(ask("restart", { name = "web#2" }), "conflict", 'is disabled; "appmgr task enable web" starts it')
    agent.apps.refusal = "its version cannot be read"
    is_refused(ask("restart", { name = "web" }), "conflict", "cannot be read$")
    is_refused(ask("restart", { name = "onw" }), "not_found", 'did you mean "own"')
  end)

  it("tell how an application ran", function()
    runs = {
      { pid = 1, started = 1000.5, ended = 1002.5, ran_ms = 2125, code = 3, next = "restart" },
      { failed = 1003, error = "ENOENT: exec /x", next = "restart" },
      { pid = 2, started = os.time() - 5 },
    }
    local shown = ask("history", { name = "own" }).result
    assert.same({
      start_time = clock.text(1000), end_time = clock.text(1002), ran_seconds = 2.125, pid = 1, code = 3, next = "restart",
    }, shown[1])
    assert.same({ start_time = clock.text(1003), error = "ENOENT: exec /x", next = "restart" }, shown[2])
    assert.is_nil(shown[3].end_time)
    assert.is_true(shown[3].ran_seconds >= 5 and shown[3].ran_seconds < 60)
    runs = {}
    assert.equal("[]", json.encode(ask("history", { name = "own" }).result))
    is_refused(ask("history", { name = "own", count = -1 }), "bad_request", "count")
    is_refused(ask("history", { name = "onw" }), "not_found", "own")
  end)

  it("say when nobody knows yet what runs", function()
    agent.apps.known = false
    for _, method in ipairs({ "list", "show", "restart", "history" }) do
      is_refused(ask(method, { name = "own" }), "unavailable", "its keeper has not answered")
    end
  end)
end)
