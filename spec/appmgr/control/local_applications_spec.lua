require("spec.support.core")
local fake_request = require("spec.support.fake_request")
local json = require("appmgr.json")
local local_applications = require("appmgr.control.local_applications")

describe("methods that change local applications", function()
  local agent, rows, changes, deferred, refusal

  before_each(function()
    rows = {
      own = { name = "own", state = "running", status = 1 },
      web = { name = "web", task = "web", state = "running", status = 1 },
      ["web#2"] = { name = "web#2", task = "web", state = "idle", status = 0 },
    }
    changes, deferred, refusal = {}, {}, nil
    --- Does as it is asked, but for the name "odd".
    local function change(what)
      return function(_, items, status)
        if refusal then return nil, "failed", refusal end
        local results, names = {}, {}
        for index, item in ipairs(items) do
          local name = type(item) == "table" and item.app.name or item
          names[index] = name
          results[index] = name == "odd" and { name = name, error = { code = "not_found", message = "no such" } }
            or { name = name, outcome = what }
        end
        changes[#changes + 1] = ("%s %s"):format(what, table.concat(names, ",")) .. (status and " " .. status or "")
        return results
      end
    end
    agent = {
      node = "alpha",
      core = {
        loop = { defer = function(fn) deferred[#deferred + 1] = fn end },
        timer = { now_ms = function() return 0 end },
      },
      apps = {
        row = function(_, name) return rows[name] end,
        tasks = function() return { web = true } end,
        restart = function(_, name)
          changes[#changes + 1] = "restart " .. name
          return true
        end,
      },
      locals = {
        add = change("created"), remove = change("removed"), set_status = change("set"),
        is_added = function(_, name) return name == "shadowed" end,
      },
    }
  end)

  local function ask(method, params)
    local request = fake_request.new(params)
    local_applications[method](agent, request)
    return request
  end

  local function documents(...)
    local list = {}
    for index, name in ipairs({ ... }) do list[index] = json.encode({ name = name, command = "x" }) end
    return { documents = list }
  end

  local function is_refused(request, code, pattern)
    assert.equal(code, request.code)
    assert.matches(pattern, request.message)
    assert.same({}, changes)
  end

  --- The refusal of the only one that was asked for.
  local function is_one_refused(request, pattern)
    assert.equal(1, #request.result)
    assert.equal("conflict", request.result[1].error.code)
    assert.matches(pattern, request.result[1].error.message)
  end

  it("do all of a request at once, and tell of each", function()
    assert.same({ { name = "n", outcome = "created" }, { name = "m", outcome = "created" } },
      ask("add", documents("n", "m")).result)
    assert.same({ "removed", nil, "removed" }, { ask("remove", { names = { "own", "odd", "x" } }).result[1].outcome, nil,
      ask("remove", { names = { "own", "odd", "x" } }).result[3].outcome })
    ask("disable", { names = { "own", "x" } })
    ask("enable", { names = { "own" } })
    assert.same({ "created n,m", "removed own,odd,x", "removed own,odd,x", "set own,x 0", "set own 1" }, changes)
    for _, method in ipairs({ "remove", "enable", "disable" }) do
      assert.equal("[]", json.encode(ask(method, { names = {} }).result))
    end
    assert.equal("[]", json.encode(ask("add", { documents = {} }).result))
  end)

  it("read many documents over several turns, and forget them when the client goes away", function()
    local names = {}
    for index = 1, 30 do names[index] = "n" .. index end
    local now = 0
    agent.core.timer.now_ms = function()
      now = now + 10
      return now
    end
    local function turn()
      assert.equal(1, #deferred)
      table.remove(deferred)()
    end
    local request = ask("add", documents(table.unpack(names)))
    for _ = 1, 3 do
      assert.is_nil(request.result)
      turn()
    end
    assert.equal(30, #request.result)
    assert.equal(1, #changes)
    request = ask("add", documents(table.unpack(names)))
    request.disconnect()
    turn()
    assert.same({ 0, 1 }, { #deferred, #changes })
    request = ask("add", documents(table.unpack(names)))
    agent.is_ending = true
    for _ = 1, 3 do turn() end
    assert.equal("unavailable", request.code)
    assert.equal(1, #changes)
  end)

  it("add nothing when one document is wrong", function()
    local good = documents("n").documents[1]
    is_refused(ask("add", { documents = { good, "{" } }), "bad_request", "document 2: it is no JSON.*nothing was added")
    is_refused(ask("add", { documents = { '{"name":"b","comand":"x"}', good } }), "bad_request",
      'document 1: .*did you mean "command"')
  end)

  it("leave to a task what is the task's, say what to do, and do the others", function()
    is_one_refused(ask("disable", { names = { "web" } }), 'replica of task "web": "appmgr task disable web"')
    is_one_refused(ask("remove", { names = { "web#2" } }), '"appmgr task rm web"')
    is_one_refused(ask("enable", { names = { "web" } }), '"appmgr app restart web" starts it again')
    is_one_refused(ask("enable", { names = { "web#2" } }), '"appmgr task enable web" starts it on all nodes')
    local results = ask("disable", { names = { "x", "web", "own" } }).result
    assert.same({ "set", nil, "set" }, { results[1].outcome, results[2].outcome, results[3].outcome })
    assert.equal("set x,own 0", changes[#changes])
  end)

  it("remove what was added under a name that a replica has by now", function()
    rows.shadowed = { name = "shadowed", task = "shadowed" }
    assert.equal("removed", ask("remove", { names = { "shadowed" } }).result[1].outcome)
  end)

  it("tell who takes a task's name", function()
    local results = ask("add", documents("n", "web", "odd")).result
    assert.matches('task "web" is not run on node "alpha"', results[2].warning)
    assert.is_nil(results[1].warning)
  end)

  it("refuse what is no request, what cannot be kept, and everything while the agent ends", function()
    for _, wrong in ipairs({ {}, { documents = "x" }, { documents = { 1 } }, { documents = { a = "{}" } } }) do
      is_refused(ask("add", wrong), "bad_request", "documents")
    end
    for _, method in ipairs({ "remove", "enable", "disable" }) do
      is_refused(ask(method, {}), "bad_request", "names")
      is_refused(ask(method, { names = { 7 } }), "bad_request", "names")
    end
    refusal = "the disk is full"
    is_refused(ask("add", documents("n")), "failed", "disk is full")
    for _, method in ipairs({ "remove", "enable", "disable" }) do
      is_refused(ask(method, { names = { "own" } }), "failed", "disk is full")
    end
    agent.is_ending = true
    for _, method in ipairs({ "add", "remove", "enable", "disable" }) do
      is_refused(ask(method, { names = { "own" }, documents = {} }), "unavailable", "is ending")
    end
  end)

  it("start what gave up when it is enabled", function()
    rows.own.state, rows.odd = "gave_up", { name = "odd", state = "failed" }
    agent.locals.set_status = function()
      return { { name = "own", outcome = "unchanged" }, { name = "odd", error = { code = "c", message = "m" } },
        { name = "new", outcome = "enabled" } }
    end
    local results = ask("enable", { names = { "own", "odd", "new" } }).result
    assert.equal("enabled", results[1].outcome)
    assert.same({ "restart own" }, changes)
  end)
end)
