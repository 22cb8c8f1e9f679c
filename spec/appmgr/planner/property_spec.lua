-- Random histories of a cluster, from fixed seeds: what holds whatever happens.
local Cluster = require("spec.support.cluster")
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")
local generator = require("appmgr.workbench.random").new

local json = core.json

local ZONES = { "a", "b", "c" }

local function random_task(random)
  local task = { replication = random(0, 6), max_per_node = random(1, 3), priority = random(-1, 1) }
  if random(1, 5) == 1 then task.replication = "all" end
  if random(1, 3) == 1 then task.condition = { zone = ZONES[random(1, 3)] } end
  task.content = { command = "sleep " .. random(1, 3) }
  return task
end

--- A node's agent starts again, and its keeper has nothing.
local function restart(cluster, random)
  local names = cluster:node_names()
  cluster:restart(names[random(1, #names)])
end

local function drain(cluster, random) cluster.store:put("node/n" .. random(1, 4), '{"drain":true}') end

local function forget_intent(cluster, random) cluster.store:delete("node/n" .. random(1, 4)) end

-- Slots leave and come back all the time, while agents start again.
local RESTLESS_EVENTS = { restart, restart, drain, drain, forget_intent, forget_intent }

local EVENTS = {
  function(cluster, random) cluster:task("t" .. random(1, 6), random_task(random)) end,
  function(cluster, random) cluster:task("t" .. random(1, 6), random_task(random)) end,
  function(cluster, random) cluster.store:delete("task/t" .. random(1, 6)) end,
  function(cluster, random) cluster.store:put("task/t" .. random(1, 6), "{ broken") end,
  function(cluster, random) cluster:node("n" .. random(1, 6), { labels = { zone = ZONES[random(1, 3)] } }) end,
  function(cluster, random) cluster:node("n" .. random(1, 6), { labels = { zone = ZONES[random(1, 3)] } }) end,
  function(cluster, random)
    cluster:node("n" .. random(1, 6), { labels = {}, local_applications = { "t" .. random(1, 6) } })
  end,
  function(cluster, random)
    local name = "n" .. random(1, 6)
    if cluster.nodes[name] and #cluster:node_names() > 1 then cluster:lose(name) end
  end,
  restart,
  drain,
  function(cluster, random) cluster.store:put("node/n" .. random(1, 6), '{"eligible":false}') end,
  forget_intent,
}

local function new_cluster(random, policy)
  local cluster = Cluster.new({ policy = policy })
  for number = 1, random(1, 4) do cluster:node("n" .. number, { labels = { zone = ZONES[random(1, 3)] } }) end
  for number = 1, random(1, 4) do cluster:task("t" .. number, random_task(random)) end
  return cluster
end

-- A slot that a lost node had may run again at once; apart from that, once.
local function assert_runs_once(cluster, context)
  for slot, hosts in pairs(cluster:running()) do
    assert.equal(1, #hosts, context .. ": " .. slot .. " runs on " .. table.concat(hosts, ", "))
  end
end

local function assert_within_limits(cluster, limits, context)
  for _, name in ipairs(cluster:node_names()) do
    local of_task = {}
    for _, replica in ipairs(assignment.parse(cluster.store:value("assignment/" .. name), json) or {}) do
      of_task[replica.task] = (of_task[replica.task] or 0) + 1
    end
    for task, amount in pairs(of_task) do
      local limit = math.max(limits[task] or 1, 1)
      assert.truthy(amount <= limit, ("%s: %d of %s on %s"):format(context, amount, task, name))
    end
  end
end

-- The largest max_per_node a task ever had: lowering it takes a moment to be obeyed.
local function note_limits(cluster, limits)
  for number = 1, 6 do
    local name = "t" .. number
    local document = json.decode(cluster.store:value("task/" .. name) or "0")
    if type(document) == "table" then limits[name] = math.max(limits[name] or 1, document.max_per_node) end
  end
end

local function feed_statuses(cluster)
  for _, name in ipairs(cluster:node_names()) do
    cluster:feed("status", cluster.store:listing("status/" .. name .. "/applications"), name)
  end
end

local function each_seed(count, fn)
  for seed = 1, count do fn(generator(seed), "seed " .. seed) end
end

for _, policy in ipairs({ "spread", "round_robin" }) do
  describe("with " .. policy .. ", whatever happens,", function()
    -- @tparam integer sleepiness quarters of the time in which a node hears nothing
    local function assert_never_twice(seeds, events, sleepiness)
      each_seed(seeds, function(random, context)
        local cluster, limits = new_cluster(random, policy), {}
        local slept = {}
        cluster.lazy = function(name)
          -- Not for ever: a node that lives reports within a few seconds.
          slept[name] = random(1, 4) <= sleepiness and (slept[name] or 0) < 2 * sleepiness and (slept[name] or 0) + 1 or 0
          return slept[name] > 0
        end
        for _ = 1, 40 do
          feed_statuses(cluster)
          events[random(1, #events)](cluster, random)
          note_limits(cluster, limits)
          local header = cluster:turn()
          assert.equal("ok", header.outcome, context .. ": " .. tostring(header.outcome_message))
          cluster:slots()
          assert_runs_once(cluster, context)
          assert_within_limits(cluster, limits, context)
        end
      end)
    end

    it("a slot never runs twice and max_per_node holds, even when nodes are slow", function()
      assert_never_twice(25, EVENTS, 2)
    end)

    it("a slot never runs twice when agents start again while their slots leave", function()
      assert_never_twice(80, RESTLESS_EVENTS, 2)
    end)

    it("it settles, and a second decision or a new leader finds nothing to do", function()
      each_seed(25, function(random, context)
        local cluster = new_cluster(random, policy)
        for _ = 1, 8 do
          for _ = 1, 3 do EVENTS[random(1, #EVENTS)](cluster, random) end
          cluster:settle()
          cluster:settle()
          local index = cluster.store.index
          cluster:turn()
          assert.equal(index, cluster.store.index, context .. ": a second decision")
          cluster:elect()
          cluster:settle()
          assert.equal(index, cluster.store.index, context .. ": a new leader")
        end
      end)
    end)

    it("the order of keys, and whether the model was rebuilt, make no difference", function()
      for seed = 1, 15 do
        local stores = {}
        for variant = 1, 3 do
          local random, other = generator(seed), generator(seed + 1000)
          local cluster = new_cluster(random, policy)
          if variant == 2 then
            cluster.store.shuffle = function(list)
              for index = #list, 2, -1 do
                local swap = other(1, index)
                list[index], list[swap] = list[swap], list[index]
              end
            end
          end
          for _ = 1, 20 do
            EVENTS[random(1, #EVENTS)](cluster, random)
            if variant == 3 then cluster:elect() end
            feed_statuses(cluster)
            cluster:turn()
          end
          cluster:settle()
          stores[variant] = cluster:slots()
        end
        assert.same(stores[1], stores[2], "seed " .. seed)
        assert.same(stores[1], stores[3], "seed " .. seed)
      end
    end)

    it("losing a node moves what it had and nothing else", function()
      each_seed(40, function(random, context)
        local cluster = new_cluster(random, policy)
        for number = 1, 5 do cluster:node("n" .. number, { labels = { zone = ZONES[random(1, 3)] } }) end
        cluster:settle()
        local before, lost = cluster:slots(), "n" .. random(1, 5)
        cluster:lose(lost)
        cluster:settle()
        local after = cluster:slots()
        for slot, host in pairs(before) do
          if host ~= lost then assert.equal(host, after[slot], context .. ": " .. slot) end
        end
      end)
    end)

    it("as many replicas are placed as the rules leave room for", function()
      each_seed(40, function(random, context)
        local cluster = new_cluster(random, policy)
        cluster:settle()
        local placed, zones = {}, {}
        for slot in pairs(cluster:slots()) do
          local task = slot:match("^(.*)%.")
          placed[task] = (placed[task] or 0) + 1
        end
        for _, name in ipairs(cluster:node_names()) do
          local zone = json.decode(cluster.store:value("live/" .. name)).labels.zone
          zones[zone] = (zones[zone] or 0) + 1
        end
        for number = 1, 4 do
          local task = json.decode(cluster.store:value("task/t" .. number) or "null")
          if type(task) == "table" then
            local nodes = task.condition and (zones[task.condition.zone] or 0) or #cluster:node_names()
            local expected = task.replication == "all" and nodes or math.min(task.replication, nodes * task.max_per_node)
            assert.equal(expected, placed["t" .. number] or 0, context .. ": t" .. number)
          end
        end
      end)
    end)
  end)
end
