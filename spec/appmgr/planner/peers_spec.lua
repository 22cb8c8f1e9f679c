local placing = require("spec.support.placing")

local decide, node, replica, task = placing.decide, placing.node, placing.replica, placing.task

describe("the slots of a task that asks for its peers", function()
  local function told(result)
    local list = {}
    for host, replicas in pairs(result.desired) do
      for _, item in ipairs(replicas) do
        local peers = {}
        for slot, name in pairs(item.peers or {}) do peers[#peers + 1] = slot .. "=" .. name end
        table.sort(peers)
        list[#list + 1] = ("%s.%d@%s: %s"):format(item.task, item.slot, host, table.concat(peers, " "))
      end
    end
    table.sort(list)
    return list
  end

  it("are told of each other, and those of others are not", function()
    local result = decide({ tasks = { task("db", { replication = 3, peers = true }), task("web") } })
    assert.same({ "db.0@a: 1=b 2=c", "db.1@b: 0=a 2=c", "db.2@c: 0=a 1=b", "web.0@a: " }, told(result))
  end)

  it("are told when one of them moved, without being assigned anew", function()
    local result = decide({
      nodes = { node("a"), node("c") }, tasks = { task("db", { replication = 2, peers = true }) },
      held = { a = { replica("db", 0, { peers = { ["1"] = "b" } }) } },
    })
    assert.same({ "db.0@a: 1=c", "db.1@c: 0=a" }, told(result))
    assert.equal(1, result.desired.a[1].since)
  end)

  it("stay as they are when nothing changed", function()
    local held = { a = { replica("db", 0, { peers = { ["1"] = "b" } }) }, b = { replica("db", 1, { peers = { ["0"] = "a" } }) } }
    local result = decide({ tasks = { task("db", { replication = 2, peers = true }) }, held = held })
    assert.equal(held.a[1], result.desired.a[1])
    assert.equal(held.b[1], result.desired.b[1])
  end)

  it("are told no more when the task does not ask any more", function()
    local result = decide({
      tasks = { task("db", { replication = 2 }) },
      held = { a = { replica("db", 0, { peers = { ["1"] = "b" } }) }, b = { replica("db", 1) } },
    })
    assert.same({ "db.0@a: ", "db.1@b: " }, told(result))
  end)
end)
