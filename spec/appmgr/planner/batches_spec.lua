local batches = require("appmgr.planner.batches")
local core = require("spec.support.core")

local deps = { json = core.json, codec = core.codec, prefix = "appmgr/", session = "S", leader_index = 9 }

local function work(fields)
  local result = { founding = { folders = {} }, versions = {}, changes = {}, old_versions = {} }
  for key, value in pairs(fields) do result[key] = value end
  return result
end

local function operations(batch)
  local list = {}
  for position, item in ipairs(core.json.decode(batch.body)) do
    list[position] = item.KV.Verb .. " " .. item.KV.Key .. (item.KV.Index and " " .. item.KV.Index or "")
  end
  return list
end

local function set(host, index)
  return { kind = "set", host = host, index = index, replicas = {}, text = '{"replicas":[]}', names = {} }
end

describe("batches.build", function()
  it("writes nothing when there is nothing to write", function()
    assert.same({ {}, {} }, { batches.build(deps, work({})) })
  end)

  it("founds first, then versions, hosts, and what may go", function()
    local built = batches.build(deps, work({
      founding = { cluster = "c", folders = { "task/", "node/" } }, versions = { { task = "web", hash = "1f", text = "{}" } },
      changes = { { kind = "delete", host = "gone", index = 7, topology = true, absent = { key = "live/gone" } },
        { kind = "delete", host = "left", index = 8, absent = { key = "live/left", index = 3 } }, set("alpha", 0), set("beta", 12) },
      old_versions = { { task = "web", hash = "0a" } },
    }))
    assert.same({
      "check-session appmgr/leader", "check-index appmgr/leader 9", "cas appmgr/meta 0", "cas appmgr/task/ 0", "cas appmgr/node/ 0",
    }, operations(built[1]))
    assert.same({
      "check-session appmgr/leader", "check-index appmgr/leader 9", "cas appmgr/version/web/1f 0", "check-not-exists appmgr/live/gone",
      "delete-cas appmgr/assignment/gone 7", "delete appmgr/topology/gone",
      "check-index appmgr/live/left 3", "delete-cas appmgr/assignment/left 8", "cas appmgr/assignment/alpha 0", "set appmgr/topology/alpha",
      "cas appmgr/assignment/beta 12", "set appmgr/topology/beta", "delete appmgr/version/web/0a",
    }, operations(built[2]))
    assert.equal(#operations(built[2]), #built[2].effects)
  end)

  it("never tears a host apart", function()
    local changes = {}
    for number = 1, 64 do changes[number] = set("n" .. number, number) end
    local built = batches.build(deps, work({ changes = changes }))
    assert.same({ 64, 64, 6 }, { #operations(built[1]), #operations(built[2]), #operations(built[3]) })
  end)

  it("leaves out what fits into no transaction, and says so", function()
    local big = set("alpha", 1)
    big.text = ("x"):rep(400000)
    local built, problems = batches.build(deps, work({ changes = { big, set("beta", 2) } }))
    assert.equal(1, #built)
    assert.equal("cas appmgr/assignment/beta 2", operations(built[1])[3])
    assert.equal("commit/assignment/alpha", problems[1].key)
  end)
end)
