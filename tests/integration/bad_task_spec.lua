--- Task documents that are wrong in every way: each harms only itself, and says what is wrong.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

describe("a bad task", function()
  local test, consul, alpha, good

  -- The task table and its JSON name each bad task and what is wrong with it.
  local function expect_told(name, text)
    loop.wait_for(name .. " is told: " .. text, 15000, function()
      local seen = json.encode(alpha:json("tasks"))
      return seen:find(name, 1, true) and seen:lower():find(text:lower(), 1, true), seen:sub(1, 3000)
    end)
  end

  local function expect_harmless()
    assert.same(good, test:sleepers("good"))
    assert.truthy(alpha.process:is_running())
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    alpha = test:join("alpha", consul)
    test:join("beta", consul)
    consul:put("task/good", {content = {command = test:sleeper("good")}, replication = 2})
    good = test:wait_for_sleepers("good", 2)
  end)

  teardown(function() test:close() end)

  it("of any kind keeps nobody from running", function()
    local bad = {
      nojson = "this is {no JSON",
      truncated = '{"content": {"command": "true"',
      list = "[1, 2, 3]",
      number = "42",
      null = "null",
      empty = "",
      bytes = "\255\254\0\1",
      nocontent = '{"replication": 1}',
      contentlist = '{"content": [], "replication": 1}',
      nocommand = '{"content": {"name": "x"}, "replication": 1}',
      negative = '{"content": {"command": "true"}, "replication": -1}',
      absurd = '{"content": {"command": "true"}, "replication": 1e99}',
      fraction = '{"content": {"command": "true"}, "replication": 1.5}',
      deepnest = ("["):rep(20000),
      ["bad..name"] = '{"content": {"command": "true"}, "replication": 1}',
      ["bad name"] = '{"content": {"command": "true"}, "replication": 1}',
      ["deeper/key"] = '{"content": {"command": "true"}, "replication": 1}',
    }
    for name, text in pairs(bad) do
      consul:put("task/" .. name, text)
    end
    consul:put("task/neighbour", {content = {command = test:sleeper("neighbour")}, replication = 2})
    test:wait_for_sleepers("neighbour", 2)
    expect_harmless()
    for name, text in pairs{
      nojson = "JSON", list = "object", nocontent = "content", nocommand = "command", negative = "replication",
      absurd = "replication", fraction = "replication", ["bad..name"] = "name", ["deeper/key"] = "deeper",
    } do
      expect_told(name, text)
    end
  end)

  it("is told in the log once, not once a second", function()
    local before = #alpha:log()
    -- Passes go on because other tasks change.
    for i = 1, 5 do
      consul:put("task/neighbour", {content = {command = test:sleeper("neighbour")}, replication = 1 + i % 2})
      test:wait_for_sleepers("neighbour", 1 + i % 2)
    end
    assert.is_nil(alpha:log():sub(before + 1):find("nojson", 1, true))
  end)

  it("with unknown fields runs, with a warning", function()
    consul:put("task/typo", {content = {command = test:sleeper("typo"), wokring_dir = "/tmp"}, replication = 1, replicaton = 3})
    test:wait_for_sleepers("typo", 1)
    expect_told("typo", "working_dir")
    expect_told("typo", "replication")
  end)

  it("that asks for what cannot be honoured stays pending with that reason", function()
    consul:put("task/asks", {content = {command = test:sleeper("asks")}, replication = 1, constraints = {{attribute = "zone"}}})
    expect_told("asks", "constraints")
    assert.equal(0, #test:sleepers("asks"))
  end)

  it("whose condition matches nobody stays pending, with the labels that are there", function()
    consul:put("task/picky", {content = {command = test:sleeper("picky")}, replication = 1, condition = {zone = "nowhere"}})
    expect_told("picky", "zone")
    assert.equal(0, #test:sleepers("picky"))
  end)

  it("that was good before keeps running as it was, and is followed again when it is repaired", function()
    consul:put("task/good", '{"content": {"command": "oops"')
    expect_told("good", "JSON")
    consul:put("task/neighbour", {content = {command = test:sleeper("neighbour")}, replication = 2})
    test:wait_for_sleepers("neighbour", 2)
    expect_harmless()
    consul:put("task/good", {content = {command = test:sleeper("good")}, replication = 1})
    test:wait_for_sleepers("good", 1)
    consul:put("task/good", {content = {command = test:sleeper("good")}, replication = 2})
    good = test:wait_for_sleepers("good", 2)
  end)

  it("near the store's limit of 512 KiB is run or refused, and told", function()
    consul:put("task/huge", {content = {command = test:sleeper("huge"), comments = ("x"):rep(510000)}, replication = 1})
    expect_told("huge", "bytes")
    expect_harmless()
    consul:put("task/large", {content = {command = test:sleeper("large"), comments = ("x"):rep(200000)}, replication = 1})
    test:wait_for_sleepers("large", 1, 15000)
  end)

  it("with a command too long for exec is told so, with its node", function()
    -- Linux takes no single argument above 128 KiB.
    consul:put("task/long", {content = {command = {"/bin/echo", ("y"):rep(140000)}}, replication = 1})
    loop.wait_for("the status key tells E2BIG's text", 15000, function()
      for _, node in ipairs{"alpha", "beta"} do
        local app = (consul:document("status/" .. node .. "/applications") or {}).long
        if app and app.error and app.error:find("Argument list too long", 1, true) then
          return true
        end
      end
      return false, json.encode(alpha:json("tasks")):match('"long".*')
    end)
    expect_harmless()
  end)

  it("leaves everything else as it was", function()
    expect_harmless()
    for _, key in ipairs(consul:keys("task/")) do
      if key ~= "task/" and key ~= "task/good" then
        consul:delete(key)
      end
    end
    test:wait_for_sleepers("neighbour", 0)
    loop.wait_for("no problem is left", 15000, function()
      local problems = alpha:json("status").problems
      return #problems == 0, json.encode(problems)
    end)
    expect_harmless()
  end)
end)
