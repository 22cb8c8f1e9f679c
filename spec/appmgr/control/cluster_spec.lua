require("spec.support.core")
local cluster = require("appmgr.control.cluster")
local fake_request = require("spec.support.fake_request")

--- An agent whose cluster has a plan, and remembers what was restored.
local function new_agent(plan)
  local agent = { node = "alpha", client = {}, restored = {} }
  agent.cluster = {
    accept = function(_, callback) callback(nil, { message = "meta was changed" }) end,
    restore_plan = function(_, callback)
      if plan then return callback(plan) end
      callback(nil, { message = "there is nothing to restore" })
    end,
    restore = function(_, given, callback)
      agent.restored[#agent.restored + 1] = given
      callback({ cluster = "x", hosts = 1, tasks = 2 })
    end,
  }
  return agent
end

local function call(handler, agent, params, session)
  local request = fake_request.new(params, session)
  handler(agent, request)
  return request
end

describe("cluster.restore", function()
  it("writes the plan that was shown, once", function()
    local plan, session = { cluster = "x" }, {}
    local agent = new_agent(plan)
    assert.equal(plan, call(cluster.restore, agent, {}, session).result)
    assert.same({}, agent.restored)
    assert.equal(2, call(cluster.restore, agent, { apply = true }, session).result.tasks)
    assert.equal(plan, agent.restored[1])
    assert.equal("bad_request", call(cluster.restore, agent, { apply = true }, session).code)
  end)

  it("hands on why there is no plan, and keeps none", function()
    local session = {}
    local request = call(cluster.restore, new_agent(nil), {}, session)
    assert.equal("there is nothing to restore", request.message)
    assert.equal("bad_request", call(cluster.restore, new_agent(nil), { apply = true }, session).code)
  end)

  it("needs Consul", function()
    assert.equal("unavailable", call(cluster.restore, { node = "alpha" }).code)
    assert.equal("unavailable", call(cluster.accept, { node = "alpha" }).code)
  end)
end)

describe("cluster.accept", function()
  it("hands on why it was refused", function()
    assert.equal("meta was changed", call(cluster.accept, new_agent(nil)).message)
  end)
end)
