local Policy = require("appmgr.planner.policy")
local core = require("spec.support.core")
local policy_options = require("appmgr.planner.policy_options")

local DECLARED = {
  margin = { type = "number", default = 0.1, description = "how much better" }, moves = { type = "integer", default = 2 },
  label = { type = "string", default = "zone" }, strict = { type = "boolean", default = false },
}

describe("options of a policy", function()
  it("have their defaults, or what is given", function()
    assert.same({ margin = 0.1, moves = 2, label = "zone", strict = false }, policy_options.read(DECLARED, {}))
    assert.same({ margin = 1, moves = 3, label = "rack", strict = true },
      policy_options.read(DECLARED, { margin = 1, moves = 3.0, label = "rack", strict = true }))
  end)

  it("are refused with the reason", function()
    for text, given in pairs({
      ['option "margn": is not declared by the policy; did you mean "margin"?'] = { margn = 1 },
      ['option "moves": must be of type integer'] = { moves = 1.5 }, ['option "strict": must be of type boolean'] = { strict = 1 },
      ['option "margin": must be of type number'] = { margin = 0 / 0 },
    }) do
      local values, reason = policy_options.read(DECLARED, given)
      assert.same({ nil, text }, { values, reason })
    end
    assert.truthy(select(2, policy_options.read({}, { a = 1 })):find("takes no options", 1, true))
  end)

  it("are declared with a type and a default", function()
    assert.equal(DECLARED, policy_options.declare(DECLARED))
    for text, declared in pairs({
      ["a.type: must be integer, number, string or boolean"] = { a = { type = "table", default = {} } },
      ["a.default: must be of type integer"] = { a = { type = "integer" } },
      ["a.min: is unknown"] = { a = { type = "integer", default = 1, min = 0 } },
      ["a: an option is a name with"] = { a = 1 },
    }) do
      local _, reason = policy_options.declare(declared)
      assert.truthy(reason and reason:find(text, 1, true), tostring(reason))
    end
  end)

  it("are handed to score and filter, read-only and strict", function()
    local function answer(body)
      local policy = assert(Policy.load(core, {
        name = "p", hash = "h", options = { weight = 3 },
        text = 'return { api = 1, name = "p", options = { weight = { type = "number", default = 1 } }, score = function(_, _, _, options) '
          .. body .. " end }",
      }))
      return policy:run("t", policy.score, {}, nil, nil, nil, policy.options)
    end
    assert.same({ "ok", 3 }, { answer("return options.weight") })
    assert.truthy(select(2, answer("options.weight = 1")):find("read-only", 1, true))
    assert.truthy(select(2, answer("return options.weigth")):find('declares no option "weigth"; did you mean "weight"?', 1, true))
  end)
end)
