local Assignment = require("appmgr.node.assignment")
local Problems = require("appmgr.problems")
local application = require("appmgr.application")
local consul = require("spec.support.consul")
local core = require("spec.support.core")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")
local watch = require("appmgr.consul.watch")

local json = core.json

--- A version as the leader writes it.
local function version_of(content)
  return application.version(content, json, core.codec), json.encode(content)
end

describe("the assignment", function()
  local client, http, timer, problems, log, assignment, given, saved, kept, verdict, metas, index, doubts, is_full

  before_each(function()
    client, http = consul.client()
    timer, log, given, saved, metas, index = fake_timer.new(), fake_log.new(), {}, nil, {}, 10
    kept, verdict, doubts, is_full = nil, "ok", 0, false
    problems = Problems.new({ log = log, now = os.time })
    assignment = Assignment.new({
      client = client, watch = watch, timer = timer, random = function() return 0 end, problems = problems, json = json,
      node = "alpha", fallback_ms = 5000,
      state = {
        load_assignment = function() return kept end,
        save_assignment = function(_, replicas, versions)
          if is_full then return nil, "disk full" end
          saved = { replicas = replicas, versions = versions }
          return true
        end,
        forget_assignment = function() kept = nil end,
      },
      cluster = { check = function(_, meta)
        metas[#metas + 1] = meta or "none"
        return verdict
      end },
      on_assignment = function(list, decided) given[#given + 1] = { list = list, decided = decided } end,
      session = function() return "own session" end,
      on_taken_for_gone = function() doubts = doubts + 1 end,
    })
  end)

  local function last() return given[#given] end

  local function poll() return http.open("assignment/alpha")[1] end

  local function transaction() return http.open("/v1/txn")[1] end

  --- Consul answers the long poll with this value.
  local function deliver(value)
    index = index + 1
    poll().reply(200, consul.listing({ { key = "appmgr/assignment/alpha", value = value, index = index } }),
      consul.index(index))
  end

  local function assign(...)
    deliver(json.encode({ replicas = json.array({ ... }) }))
  end

  --- Consul answers the read transaction with meta and what is asked for.
  local function answer(contents)
    local request, results = transaction(), {}
    results[1] = { KV = { Key = "appmgr/meta", Value = core.codec.base64_encode("META"), Flags = 0 } }
    for position, operation in ipairs(json.decode(request.body)) do
      local content = contents[operation.KV.Key:match("version/(.+)$") or ""]
      if operation.KV.Verb == "check-session" then
        results[position] = { KV = { Key = operation.KV.Key, Session = operation.KV.Session, Flags = 0 } }
      elseif operation.KV.Verb == "get" and not content then
        return request.reply(409, json.encode({ Errors = json.array({
          { OpIndex = position - 1, What = ('key "%s" doesn\'t exist'):format(operation.KV.Key) },
        }) }))
      end
      results[position] = content and { KV = {
        Key = operation.KV.Key, Value = core.codec.base64_encode(content), Flags = 0,
      } } or results[position]
    end
    request.reply(200, json.encode({ Results = json.array(results) }))
  end

  local hash, text = version_of({ command = "sleep 1" })
  local web = { task = "web", slot = 0, version = hash, since = 5 }

  it("is followed: versions that lack are read in one transaction with meta, then kept", function()
    assignment:start()
    assign(web)
    local operations = json.decode(transaction().body)
    assert.same({ "get-tree", "check-session", "get" }, { operations[1].KV.Verb, operations[2].KV.Verb, operations[3].KV.Verb })
    assert.same({ "appmgr/live/alpha", "own session" }, { operations[2].KV.Key, operations[2].KV.Session })
    assert.equal("appmgr/version/web/" .. hash, operations[3].KV.Key)
    answer({ ["web/" .. hash] = text })
    assert.is_true(last().decided)
    assert.same({ "sleep", "1" }, last().list[1].application.argv)
    assert.same({ "META" }, metas)
    assert.is_nil(saved)
    timer.advance(200)
    assert.same({ ["web/" .. hash] = { command = "sleep 1" } }, saved.versions)

    assign(web, { task = "web", slot = 1, version = hash, since = 6 })
    assert.equal(2, #json.decode(transaction().body))
    answer({})
    assert.equal(2, #last().list)
    assert.equal(last().list[1].application, last().list[2].application)
  end)

  it("is told by its index once it is acted on, and not before", function()
    local at_apply
    assert.equal(0, assignment:acted_on())
    assignment.on_assignment = function() at_apply = assignment:acted_on() end
    assignment:start()
    assign(web)
    local first = index
    assert.equal(0, assignment:acted_on())
    answer({ ["web/" .. hash] = text })
    assert.equal(first, assignment:acted_on())
    assert.equal(first, at_apply)
    deliver("{")
    assert.equal(first, assignment:acted_on())
    verdict = "mismatch"
    assign()
    answer({})
    assert.equal(first, assignment:acted_on())
  end)

  it("whose slot leaves is kept at once: what the leader gives to others must not come back from the disk", function()
    assignment:start()
    assign(web)
    answer({ ["web/" .. hash] = text })
    assert.is_nil(saved)
    assign({ task = "web", slot = 0, version = hash, since = 5, leaving = true })
    answer({})
    assert.is_true(saved.replicas[1].leaving)
  end)

  it("whose slot leaves is rather forgotten than remembered as it was, where it cannot be kept", function()
    assignment:start()
    assign(web)
    answer({ ["web/" .. hash] = text })
    timer.advance(200)
    kept, is_full = saved, true
    assign({ task = "web", slot = 0, version = hash, since = 5, leaving = true })
    answer({})
    assert.is_nil(kept)
    is_full = false
    timer.advance(200)
    assert.is_true(saved.replicas[1].leaving)
  end)

  it("that names a missing version goes on without that one, and asks again", function()
    assignment:start()
    assign({ task = "db", slot = 0, version = "feed", since = 1 }, web)
    answer({ ["web/" .. hash] = text })
    answer({ ["web/" .. hash] = text })
    assert.matches("version/db/feed is not in Consul", last().list[1].error)
    assert.truthy(last().list[2].application)
    assert.equal(1, log.count('WARN task "db"'))
    timer.advance(600)
    answer({})
    answer({})
    assert.equal(1, log.count('WARN task "db"'))
    assign(web)
    answer({})
    assert.equal(1, log.count('INFO over: task "db"'))
  end)

  it("whose version is garbage or cannot be used says so of that task only", function()
    local wrong_hash, wrong = version_of({ command = "x", resource_limit = 7 })
    local bad_hash, bad = version_of({ comand = "x" })
    assignment:start()
    assign({ task = "a", slot = 0, version = "1" }, { task = "b", slot = 0, version = "1" },
      { task = "c", slot = 0, version = wrong_hash }, { task = "d", slot = 0, version = bad_hash }, web)
    answer({
      ["a/1"] = "{", ["b/1"] = "7", ["c/" .. wrong_hash] = wrong,
      ["d/" .. bad_hash] = bad, ["web/" .. hash] = text,
    })
    local errors = {}
    for position, replica in ipairs(last().list) do errors[position] = replica.error or "fine" end
    assert.matches("no valid JSON", errors[1])
    assert.matches("must be an object", errors[2])
    assert.matches("resource_limit: must be an object", errors[3])
    assert.matches("command: is missing", errors[4])
    assert.equal("fine", errors[5])
  end)

  it("that is absent, garbage or HTML stops nothing and is told once", function()
    assignment:start()
    assign(web)
    answer({ ["web/" .. hash] = text })
    for _, value in ipairs({ "{", "7", '{"replicas":7}', '{"replicas":[{"task":"../x","slot":0,"version":"v"}]}', "" }) do
      timer.advance(2000)
      deliver(value)
      assert.equal(1, #given)
      assert.equal(1, #problems:list())
      assert.matches("what runs on this node stays", problems:list()[1].text)
    end
    timer.advance(2000)
    index = index + 1
    assert.equal(0, doubts)
    poll().reply(404, "", consul.index(index))
    assert.matches("is not there any more", problems:list()[1].text)
    -- As the leader does with a node whose session ended.
    assert.equal(1, doubts)
    timer.advance(2000)
    poll().reply(200, "<html>login</html>", consul.index(index))
    assert.equal(1, #given)
    timer.advance(5000)
    deliver(json.encode({ replicas = json.array({}) }))
    answer({})
    assert.same({}, last().list)
    assert.equal(0, #problems:list())
  end)

  it("of a node that was never given anything is no problem", function()
    assignment:start()
    poll().reply(404, "", consul.index(3))
    assert.equal(0, #problems:list())
    assert.equal(0, #given)
  end)

  it("in a store that is not ours changes nothing until the cluster's id is settled", function()
    verdict = "mismatch"
    assignment:start()
    assign(web)
    answer({ ["web/" .. hash] = text })
    assert.equal(0, #given)
    -- Whose store it is, is followed elsewhere: nothing is asked for here until that says so.
    timer.advance(60000)
    assert.equal(0, #http.open("/v1/txn"))
    verdict = "adopted"
    assignment:refresh()
    answer({})
    assert.equal(1, #given)
  end)

  it("is acted on by a node that is among the live, and by no other", function()
    assignment:start()
    assign(web)
    local refused = { OpIndex = 1, What = 'failed session check for key "appmgr/live/alpha", current session "a" != "b"' }
    transaction().reply(409, json.encode({ Errors = json.array({ refused }) }))
    assert.same({ 0, 1 }, { #given, doubts })
    assert.equal("assignment/alpha is not acted on: this node is not among the live; what runs on this node stays",
      problems:list()[1].text)
    timer.advance(600)
    answer({ ["web/" .. hash] = text })
    assert.same({ 1, 1, 0 }, { #given, doubts, #problems:list() })
  end)

  it("waits and reads again when the versions cannot be read", function()
    assignment:start()
    assign(web)
    transaction().reply(500, "No cluster leader")
    assert.equal(0, #given)
    assert.matches("versions it names", problems:list()[1].text)
    timer.advance(600)
    answer({ ["web/" .. hash] = text })
    assert.equal(1, #given)
    assert.equal(0, #problems:list())
  end)

  it("that changes while its versions are read is read anew", function()
    assignment:start()
    assign(web)
    local first = transaction()
    assign({ task = "web", slot = 3, version = hash, since = 5 })
    assert.is_true(first.cancelled)
    answer({ ["web/" .. hash] = text })
    assert.equal(1, #given)
    assert.equal(3, last().list[1].slot)
  end)

  it("of more versions than a transaction takes is read in several", function()
    local replicas, contents = {}, {}
    for i = 1, 130 do
      local one, content = version_of({ command = "sleep " .. i })
      replicas[i] = { task = "t" .. i, slot = 0, version = one, since = 1 }
      contents[("t%d/%s"):format(i, one)] = content
    end
    assignment:start()
    assign(table.unpack(replicas))
    for _ = 1, 3 do
      assert.is_true(#json.decode(transaction().body) <= 64)
      assert.equal(0, #given)
      answer(contents)
    end
    assert.equal(130, #last().list)
    for _, replica in ipairs(last().list) do assert.truthy(replica.application) end
  end)

  it("does not read versions of what leaves", function()
    assignment:start()
    assign({ task = "web", slot = 0, version = hash, since = 5, leaving = true })
    assert.equal(2, #json.decode(transaction().body))
    answer({})
    assert.is_true(last().list[1].leaving)
    assert.equal(0, #problems:list())
  end)

  describe("gives each slot a fence", function()
    local function fence_of(slot)
      for _, replica in ipairs(last().list) do
        if replica.slot == slot then return replica.fence end
      end
    end

    local function give(...)
      assign(...)
      answer({ ["web/" .. hash] = text })
    end

    before_each(function() assignment:start() end)

    it("that stays while the slot does, and is larger for one that came later", function()
      give(web)
      local first = index
      assert.equal(first, fence_of(0))
      give(web, { task = "web", slot = 1, version = hash, since = 6 })
      assert.equal(first, fence_of(0))
      assert.equal(index, fence_of(1))
    end)

    it("that grows when it was assigned anew, or had left", function()
      give(web)
      give({ task = "web", slot = 0, version = hash, since = 9 })
      assert.equal(index, fence_of(0))
      give({ task = "web", slot = 0, version = hash, since = 9, leaving = true })
      assert.is_nil(fence_of(0))
      give({ task = "web", slot = 0, version = hash, since = 9 })
      assert.equal(index, fence_of(0))
    end)
  end)

  describe("is confirmed", function()
    local function confirmed_by(answered)
      local result
      assignment:confirm(function(is_current) result = is_current end)
      local request = http.open("consistent")[1]
      answered(request)
      return result
    end

    local function entry_at(at)
      return function(request)
        request.reply(200, consul.listing({
          { key = "appmgr/assignment/alpha", value = json.encode({ replicas = json.array({ web }) }), index = at },
        }), consul.index(at))
      end
    end

    before_each(function()
      assignment:start()
      assign(web)
      answer({ ["web/" .. hash] = text })
    end)

    it("by the document that is in force", function()
      assert.is_true(confirmed_by(entry_at(index)))
      assert.is_nil(transaction())
    end)

    it("not by another one, which is acted on", function()
      assert.is_false(confirmed_by(entry_at(index + 5)))
      answer({})
      assert.equal(index + 5, assignment:acted_on())
      assert.is_true(confirmed_by(entry_at(index + 5)))
    end)

    it("not by its absence, and not by no answer", function()
      assert.is_false(confirmed_by(function(request) request.reply(404, "", consul.index(50)) end))
      assert.equal(1, doubts)
      assert.is_false(confirmed_by(function(request) request.fail("connect") end))
    end)
  end)

  describe("that is remembered", function()
    before_each(function()
      kept = { replicas = { web }, versions = { ["web/" .. hash] = { command = "sleep 1" } } }
      assignment:restore()
    end)

    it("is used when Consul does not answer, and decides nothing", function()
      assert.equal(0, #given)
      assignment:start()
      poll().fail("connect")
      assert.is_false(last().decided)
      assert.same({ "sleep", "1" }, last().list[1].application.argv)
      timer.advance(1000)
      poll().fail("connect")
      assert.equal(1, #given)
    end)

    it("is used when the store is in doubt or says nothing", function()
      verdict = "unknown"
      assignment:start()
      assign({ task = "other", slot = 0, version = hash, since = 1 })
      answer({ ["other/" .. hash] = text })
      assert.is_false(last().decided)
      assert.equal("web", last().list[1].task)
    end)

    local function find_none(meta)
      index = index + 1
      poll().reply(404, "", consul.index(index))
      http.open("/meta")[1].reply(meta and 200 or 404, meta and consul.listing({ { key = "appmgr/meta", value = meta } }) or "",
        consul.index(index))
    end

    it("is forgotten when the cluster's own store has none: it was removed with a node that was gone", function()
      assignment:start()
      find_none("META")
      assert.same({ "META" }, metas)
      assignment:recall()
      assert.same({ 0, nil }, { #given, kept })
      assign({ task = "other", slot = 0, version = hash, since = 1 })
      answer({ ["other/" .. hash] = text })
      assert.equal("other", last().list[1].task)
    end)

    it("is used for the slots that Consul names when their versions cannot be read, and whole when the store is in doubt", function()
      kept.replicas[2] = { task = "web", slot = 1, version = hash, since = 5 }
      assignment:restore()
      assignment:start()
      assign(web, { task = "other", slot = 0, version = hash, since = 1 })
      transaction().reply(500, "rpc error")
      assert.is_false(last().decided)
      assert.same({ 1, 0 }, { #last().list, last().list[1].slot })
      verdict = "mismatch"
      timer.advance(5000)
      answer({ ["other/" .. hash] = text })
      assert.is_false(last().decided)
      assert.equal(2, #last().list)
    end)

    it("never comes back with slots that Consul has not named, whatever cannot be read afterwards", function()
      kept.replicas[2] = { task = "web", slot = 1, version = hash, since = 5 }
      assignment:restore()
      assignment:start()
      assign(web, { task = "other", slot = 0, version = hash, since = 1 })
      assignment:recall() -- the versions take their time
      assert.same({ 1, 0 }, { #last().list, last().list[1].slot })
      transaction().reply(500, "rpc error")
      deliver("garbage")
      poll().fail("connect")
      for _, told in ipairs(given) do assert.equal(1, #told.list) end
    end)

    it("is used when a store that is in doubt has none", function()
      verdict = "mismatch"
      assignment:start()
      find_none()
      assert.same({ "none" }, metas)
      assert.equal("web", last().list[1].task)
      assert.truthy(kept)
    end)

    it("is used when nobody says whose store it is that has none", function()
      assignment:start()
      poll().reply(404, "", consul.index(50))
      http.open("/meta")[1].fail("connect")
      assert.equal("web", last().list[1].task)
    end)

    it("gives way to an assignment that comes while that is asked", function()
      assignment:start()
      index = index + 1
      poll().reply(404, "", consul.index(index))
      assign({ task = "other", slot = 0, version = hash, since = 1 })
      answer({ ["other/" .. hash] = text })
      assert.same({ 1, "other", 0 }, { #given, last().list[1].task, #http.open("/meta") })
    end)

    it("has the fences it had", function()
      kept.replicas = { { task = "web", slot = 0, version = hash, since = 5, fence = 7 } }
      assignment:restore()
      assignment:recall()
      assert.equal(7, last().list[1].fence)
      assignment:start()
      assign(web, { task = "web", slot = 1, version = hash, since = 5 })
      answer({})
      assert.equal(7, last().list[1].fence)
      assert.equal(index, last().list[2].fence)
      timer.advance(200)
      assert.equal(7, saved.replicas[1].fence)
    end)

    it("counts as no assignment that was acted on", function()
      assignment:recall()
      assert.equal(1, #given)
      assert.equal(0, assignment:acted_on())
    end)

    it("is not used once Consul has said what is to run", function()
      assignment:start()
      assign({ task = "other", slot = 0, version = hash, since = 1 })
      answer({ ["other/" .. hash] = text })
      assignment:recall()
      assert.equal(1, #given)
      assert.equal("other", last().list[1].task)
    end)

    it("is written again only when it changed, and at the end", function()
      assignment:start()
      assign(web)
      answer({})
      assignment:stop()
      assert.equal("web", saved.replicas[1].task)
      saved = nil
      assignment:stop()
      assert.is_nil(saved)
      assert.equal(0, timer.pending())
    end)
  end)
end)
