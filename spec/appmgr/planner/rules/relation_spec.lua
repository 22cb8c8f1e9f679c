local relation = require("appmgr.planner.rules.relation")

local node = { name = "n1", labels = { zone = "a" } }

describe("rules.relation", function()
  it("is nothing where nothing stands", function()
    assert.is_nil(relation.compile({}))
    assert.is_nil(relation.compile({ with = {}, apart_from = {} }))
  end)

  local list = relation.compile({
    with = { { task = "db", per = "label.zone" } },
    apart_from = { { task = "web", per = "node" }, { task = "batch", per = "node" } },
  })

  it("lists what a task asks for", function()
    assert.equal(3, #list)
    assert.same({ "with", "db", "zone" }, { list[1].kind, list[1].task, list[1].label })
    assert.same({ "apart_from", "web" }, { list[2].kind, list[2].task })
    assert.same({ "zone" }, list.labels)
    assert.same({ "batch", "db", "web" }, list.tasks)
  end)

  it("knows where a node is", function()
    assert.equal("a", relation.place(list[1], node))
    assert.equal("n1", relation.place(list[2], node))
    assert.is_nil(relation.place(list[1], { name = "n2", labels = {} }))
  end)

  it("lets a task only where the other is", function()
    assert.is_nil(relation.rejects(list[1], "a", 1))
    assert.same({ code = "with", args = { task = "db", per = "label.zone", value = "a" } }, relation.rejects(list[1], "a", 0))
    assert.equal("relation_missing", relation.rejects(list[1], nil, 0).code)
  end)

  it("lets a task only where the other is not", function()
    assert.is_nil(relation.rejects(list[2], "n1", 0))
    assert.same({ code = "apart_from", args = { task = "web", per = "node", value = "n1" } },
      relation.rejects(list[2], "n1", 2))
  end)

  it("binds the other task, too", function()
    local mirrored = relation.mirrored(list[2], "shop")
    assert.same({ "apart_from", "shop", "node" }, { mirrored.kind, mirrored.task, mirrored.per })
    assert.equal("kept_apart", relation.rejects(mirrored, "n1", 1).code)
  end)

  it("has one key for equal sets in whatever order", function()
    local first = relation.compile({ apart_from = { { task = "a", per = "node" }, { task = "b", per = "node" } } })
    local second = relation.compile({ apart_from = { { task = "b", per = "node" }, { task = "a", per = "node" } } })
    local other = relation.compile({ with = { { task = "b", per = "node" }, { task = "a", per = "node" } } })
    assert.equal(first.key, second.key)
    assert.are_not.equal(first.key, other.key)
  end)
end)
