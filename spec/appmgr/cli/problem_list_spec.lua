local problem_list = require("appmgr.cli.problem_list")

local function shown(...)
  local problems = {}
  for index, text in ipairs({ ... }) do problems[index] = { text = text, since = index } end
  local list = {}
  for _, group in ipairs(problem_list.grouped(problems)) do
    list[#list + 1] = group.since .. " " .. group.text
    for _, effect in ipairs(group.effects) do list[#list + 1] = "- " .. effect end
  end
  return list
end

describe("the list of problems", function()
  it("shows once what several have as their cause", function()
    assert.same({
      "1 Consul at a cannot be reached: Connection refused",
      "- assignment/n cannot be followed; what runs on this node stays",
      "- the leader key cannot be followed",
      "2 keeper: lost",
    }, shown(
      "assignment/n cannot be followed: Consul at a cannot be reached: Connection refused; what runs on this node stays",
      "keeper: lost", "the leader key cannot be followed: Consul at a cannot be reached: Connection refused"))
  end)

  it("takes all servers for one cause, and another trouble for another", function()
    assert.same({
      "1 Consul at a cannot be reached: x; Consul at b answers 500",
      "- session cannot be renewed; it is tried again; and again",
      "- status is not written",
      "2 live cannot be read: Consul at a cannot be reached: y; the last decision stays",
    }, shown("session cannot be renewed: Consul at a cannot be reached: x; Consul at b answers 500; it is tried again; and again",
      "live cannot be read: Consul at a cannot be reached: y; the last decision stays",
      "status is not written: Consul at a cannot be reached: x; Consul at b answers 500"))
  end)

  it("leaves a problem that stands alone as it is", function()
    assert.same({ "1 task/web: bad JSON; it goes on: as it was" }, shown("task/web: bad JSON; it goes on: as it was"))
    assert.same({ "1 policy/use cannot be read: Consul at a cannot be reached: x; the policy stays" },
      shown("policy/use cannot be read: Consul at a cannot be reached: x; the policy stays"))
  end)
end)
