local cases = require("appmgr.workbench.cases")
local contract = require("appmgr.workbench.contract")
local shrink = require("appmgr.workbench.shrink")
local Policy = require("appmgr.planner.policy")
local core = require("spec.support.core")
local file = require("core.file")

local deps = { json = core.json, codec = core.codec, clock = os.clock }

local function policy_of(text, name)
  return assert(Policy.load({ sandbox = core.sandbox }, { name = name or "mine", text = text, hash = "" }))
end

local function first_fault(policy, count)
  for seed = 1, count do
    local fault = contract.try(deps, policy, cases.random(seed))
    if fault then return fault, cases.random(seed) end
  end
end

describe("the contract", function()
  for _, name in ipairs(assert(file.list("policies"))) do
    if name:match("%.lua$") then
      it("is kept by " .. name .. " on clusters made up by chance", function()
        local fault, case = first_fault(policy_of(assert(file.read("policies/" .. name)), name), 120)
        assert.is_nil(fault, fault and ("seed %d: %s: %s"):format(case.seed, fault.property, fault.text))
      end)
    end
  end

  it("is broken by a policy that fails for some task, which is told with its line", function()
    local fault = first_fault(policy_of([[
      return { api = 1, name = "mine", score = function(task) return task.max_per_node > 2 and nothing.here or 1 end }
    ]]), 50)
    assert.equal("total", fault.property)
    assert.matches("mine:1: ", fault.text)
  end)

  it("is broken by a policy that remembers", function()
    local fault = first_fault(policy_of([[
      local calls = 0
      return { api = 1, name = "mine", score = function() calls = calls + 1 return calls % 7 end }
    ]]), 50)
    assert.truthy(fault.property == "deterministic" or fault.property == "minimal moves", fault.property)
  end)

  it("is broken by a score that is no number", function()
    assert.equal("total", first_fault(policy_of('return { api = 1, name = "mine", score = function() return 0 / 0 end }'), 20).property)
  end)
end)

describe("a failing case", function()
  it("loses all that does not matter for its failure", function()
    local case = cases.random(7)
    case.tasks.guilty = { content = { command = "sleep 1" }, replication = 6, max_per_node = 3, priority = 1 }
    local smallest = shrink.smallest(case, function(smaller)
      local guilty = smaller.tasks.guilty
      return guilty ~= nil and guilty.max_per_node == 3
    end)
    assert.same({ guilty = { content = { command = "sleep 1" }, max_per_node = 3 } }, smallest.tasks)
    assert.same({}, smallest.nodes)
  end)

  it("is the same for the same seed", function()
    assert.same(cases.random(3), cases.random(3))
    assert.are_not.same(cases.random(3), cases.random(4))
  end)
end)
