local json = require("spec.support.core").json
local support = require("spec.support.consul")

local HTML = "<html><body>Sign in</body></html>"
local ID = "5a29c4a1-1c1d-2f0a-0c0f-1f2e3d4c5b6a"

--- A callback that keeps what it was given.
local function keeper()
  local kept = { calls = 0 }
  return kept, function(result, err)
    kept.calls, kept.result, kept.err = kept.calls + 1, result, err
  end
end

describe("the Consul client", function()
  local client, http, kept, callback

  local function connect(config, environment, file)
    client, http = support.client(config, environment, file)
    kept, callback = keeper()
  end

  before_each(function() connect() end)

  describe("sends", function()
    it("keys below the prefix, percent-encoded", function()
      client:get("task/a b%", nil, callback)
      assert.equal("http://localhost:8500/v1/kv/appmgr/task/a%20b%25", http.last().url)
      assert.equal(10000, http.last().options.timeout_ms)
    end)

    it("no key that Consul would redirect", function()
      assert.has_error(function() client:get("a//b", nil, callback) end)
      assert.has_error(function() client:get("a/../b", nil, callback) end)
    end)

    it("for a compressed answer only where it may be large", function()
      for _, options in ipairs({ { recurse = true }, { keys = true } }) do
        client:get("task/", options, callback)
        assert.is_true(http.last().options.compressed)
      end
      client:get("assignment/alpha", { index = 7 }, callback)
      assert.is_nil(http.last().options.compressed)
      client:transaction("[]", nil, callback)
      assert.is_nil(http.last().options.compressed)
    end)

    it("a long poll with a timeout beyond Consul's own jitter", function()
      client:get("task/", { recurse = true, index = 7, wait_s = 25 }, callback)
      assert.equal("http://localhost:8500/v1/kv/appmgr/task/?index=7&recurse&wait=25s", http.last().url)
      assert.equal(36562, http.last().options.timeout_ms)
    end)

    it("token, authorization, datacenter and TLS options with everything", function()
      connect({ token = "secret", datacenter = "east", url = "https://c:8501", ca_file = "/ca", verify = false,
        cert_file = "/c", key_file = "/k", tls_server_name = "n" }, { CONSUL_HTTP_AUTH = "u:p" })
      client:put("k", "v", { cas = 0 }, callback)
      local request = http.last()
      assert.equal("secret", request.header("X-Consul-Token"))
      assert.equal("Basic dTpw", request.header("Authorization"))
      assert.equal("https://c:8501/v1/kv/appmgr/k?cas=0&dc=east", request.url)
      assert.same({ "/ca", "/c", "/k", "n", false, "v" }, {
        request.options.ca_file, request.options.cert_file, request.options.key_file,
        request.options.tls_server_name, request.options.verify, request.body })
    end)

    it("the token of a file, read again after a 403", function()
      local token = "one\n"
      connect({ token_file = "/t" }, nil, { read = function() return token end })
      client:get("k", nil, callback)
      assert.equal("one", http.last().header("X-Consul-Token"))
      token = "two\n"
      http.last().reply(403, "Permission denied")
      client:get("k", nil, callback)
      assert.equal("two", http.last().header("X-Consul-Token"))
    end)

    it("no token that holds a line end", function()
      connect({ token_file = "/t" }, nil, { read = function() return "a\nX-Evil: 1" end })
      client:get("k", nil, callback)
      assert.is_nil(http.last().header("X-Consul-Token"))
    end)
  end)

  describe("reads", function()
    local function answer(status, body, headers)
      client:get("k", nil, callback)
      http.last().reply(status, body, headers)
      return kept
    end

    it("a listing with its index", function()
      local body = support.listing({ { key = "appmgr/k", value = "v" } })
      assert.same({ status = 200, index = 12, body = body }, answer(200, body, support.index(12)).result)
    end)

    it("an absence", function()
      assert.same({ status = 404, index = 3, body = "" }, answer(404, "", support.index(3)).result)
    end)

    it("an answer without or with a strange index", function()
      assert.is_nil(answer(200, "[]").result.index)
      assert.is_nil(answer(200, "[]", { ["x-consul-index"] = "many" }).result.index)
    end)

    for name, lie in pairs({
      ["a 404 of something else"] = { 404, "404 page not found" },
      ["an empty body"] = { 200, "" },
      ["half a body"] = { 200, '[{"Key":"appmgr/k","Val' },
      ["a page"] = { 200, HTML, { ["content-type"] = "text/html; charset=utf-8" } },
      ["a page that says it is JSON"] = { 200, HTML },
      ["a redirect"] = { 301, "" },
      ["a refusal"] = { 403, "Permission denied" },
      ["a fault"] = { 500, "boom" },
      ["a filtered listing"] = { 200, "[]", { ["x-consul-results-filtered-by-acls"] = "true" } },
    }) do
      it("no absence and no value from " .. name, function()
        answer(lie[1], lie[2], lie[3])
        assert.is_nil(kept.result)
        assert.equal("http", kept.err.kind)
        assert.truthy(tostring(kept.err):find("k", 1, true))
      end)
    end

    it("a refusal with the next step and without the token", function()
      connect({ token = "secret" })
      answer(403, "Permission denied")
      assert.truthy(kept.err.message:find("token with the permissions", 1, true))
      assert.falsy(kept.err.message:find("secret", 1, true))
    end)

    it("nothing after a cancel", function()
      local handle = client:get("k", nil, callback)
      handle:cancel()
      assert.is_false(http.last().reply(200, "[]"))
      assert.equal(0, kept.calls)
    end)
  end)

  describe("writes", function()
    for body, expected in pairs({ ["true"] = true, ["true\n"] = true, ["false"] = false, [" false\n"] = false }) do
      it(("and believes the body %q"):format(body), function()
        client:put("leader", "x", { acquire = ID }, callback)
        http.last().reply(200, body)
        assert.equal(expected, kept.result)
      end)
    end

    for _, body in ipairs({ "", "TRUE", "null", HTML, "tru" }) do
      it(("and takes %q for no answer"):format(body), function()
        client:put("leader", "x", { acquire = ID }, callback)
        http.last().reply(200, body)
        assert.is_nil(kept.result)
        assert.equal("http", kept.err.kind)
      end)
    end

    it("and deletes", function()
      client:delete("k", { cas = 4 }, callback)
      assert.equal("DELETE", http.last().method)
      assert.truthy(http.last().url:find("?cas=4", 1, true))
      http.last().reply(200, "false")
      assert.is_false(kept.result)
    end)
  end)

  describe("fails over", function()
    before_each(function() connect({ urls = { "http://a:1", "http://b:1", "http://c:1" } }) end)

    local function server()
      return http.last().url:match("^http://(%a)")
    end

    it("when a server cannot be reached, and stays with the one that works", function()
      client:get("k", nil, callback)
      http.last().fail("connect")
      assert.equal("b", server())
      http.last().reply(200, "[]")
      client:get("k", nil, callback)
      assert.equal("b", server())
    end)

    for name, sick in pairs({
      ["has no leader"] = { 500, "No cluster leader" }, ["is too busy"] = { 429, "too many" },
      ["is a proxy in trouble"] = { 503, "" }, ["lost its leader"] = { 500, "rpc error making call: EOF" },
    }) do
      it("when a server " .. name, function()
        client:get("k", nil, callback)
        http.last().reply(sick[1], sick[2])
        assert.equal("b", server())
        assert.equal(0, kept.calls)
      end)
    end

    it("and tells a sick server beside one that is away", function()
      connect({ urls = { "http://a:1", "http://b:1" } })
      client:get("k", nil, callback)
      http.last().fail("connect", "refused")
      http.last().reply(500, "No cluster leader")
      assert.equal("http", kept.err.kind)
      assert.equal(500, kept.err.status)
      assert.equal("Consul at http://a:1 cannot be reached: refused; Consul at http://b:1 answered GET /v1/kv/appmgr/k with 500: "
        .. "No cluster leader", tostring(kept.err))
    end)

    it("and says so of a transaction, of which the first server may make something yet", function()
      client:transaction("[]", {}, callback)
      http.last().reply(409, "{}")
      assert.is_false(kept.result.is_second_try)
      client:transaction("[]", {}, callback)
      http.last().fail("timeout")
      http.last().reply(409, "{}")
      assert.is_true(kept.result.is_second_try)
    end)

    it("not for what Consul refuses on purpose", function()
      client:put("k", "", { acquire = ID }, callback)
      http.last().reply(500, 'invalid session "x"')
      assert.equal(1, #http.requests)
      assert.equal(500, kept.err.status)
    end)

    it("once around, then tells what each said, in one order wherever it began", function()
      client:get("k", nil, callback)
      for _ = 1, 3 do http.last().fail("timeout", "timed out") end
      assert.equal(3, #http.requests)
      assert.equal("transport", kept.err.kind)
      assert.equal("timeout", kept.err.code)
      local text = "Consul at http://a:1 cannot be reached: timed out; Consul at http://b:1 cannot be reached: timed out; "
        .. "Consul at http://c:1 cannot be reached: timed out"
      assert.equal(text, tostring(kept.err))
      client:get("k", nil, callback)
      assert.equal("c", server())
      for _ = 1, 3 do http.last().fail("timeout", "timed out") end
      assert.equal(text, tostring(kept.err))
    end)

    it("in words that stay the same while the trouble does", function()
      connect()
      for _, after in ipairs({ "after 3 ms: refused", "after 17 ms: refused" }) do
        client:get("k", nil, callback)
        http.last().fail("connect", "GET http://localhost:8500/v1/kv/k: Failed to connect " .. after)
        assert.equal("Consul at http://localhost:8500 cannot be reached: Failed to connect: refused", tostring(kept.err))
      end
    end)

    it("not after a cancel", function()
      client:get("k", nil, callback):cancel()
      http.requests[1].fail("connect")
      assert.equal(1, #http.requests)
    end)

    it("asks the guard before each attempt", function()
      local allowed = true
      client:transaction("[]", { guard = function() return allowed end }, callback)
      allowed = false
      http.last().fail("connect")
      assert.equal(1, #http.requests)
      assert.equal("guard", kept.err.kind)
    end)
  end)

  describe("decodes", function()
    it("entries without the prefix, with empty values and sessions", function()
      local body = support.listing({
        { key = "appmgr/task/" }, { key = "appmgr/task/web", value = "{}\0", session = ID, index = 9 },
      })
      local entries = client.entries(body)
      assert.equal("task/", entries[1].key)
      assert.is_nil(entries[1].value)
      assert.same({ "task/web", "{}\0", ID, 9 },
        { entries[2].key, entries[2].value, entries[2].session, entries[2].modify_index })
    end)

    for name, body in pairs({
      ["no JSON"] = "[{", ["an object"] = '{"Key":"appmgr/x"}', ["no key"] = '[{"Value":null}]', ["a number"] = "[1]",
      ["another prefix"] = '[{"Key":"other/x"}]', ["bad base64"] = '[{"Key":"appmgr/x","Value":"*"}]',
      ["a number for a value"] = '[{"Key":"appmgr/x","Value":1}]',
    }) do
      it("no entries from " .. name, function()
        local entries, err = client.entries(body)
        assert.is_nil(entries)
        assert.equal("string", type(err))
      end)
    end

    it("keys", function()
      assert.same({ "version/a/1", "version/a/2" }, client.keys('["appmgr/version/a/1","appmgr/version/a/2"]'))
      assert.is_nil(client.keys('["else"]'))
      assert.is_nil(client.keys("{}x"))
    end)

    it("answers of transactions", function()
      local answer = client.transaction_answer(
        '{"Results":[{"KV":{"Key":"appmgr/meta","Value":"e30=","ModifyIndex":3}}],"Errors":null}')
      assert.equal("{}", answer.entries[1].value)
      answer = client.transaction_answer('{"Results":null,"Errors":[{"OpIndex":1,"What":"index is stale"}]}')
      assert.same({ { operation = 2, message = "index is stale" } }, answer.errors)
      assert.is_nil(client.transaction_answer("{"))
      assert.is_nil(client.transaction_answer('{"Results":[{}]}'))
    end)
  end)

  it("encodes transactions", function()
    local body = client.encode_transaction({
      { verb = "check-session", key = "leader", session = ID },
      { verb = "cas", key = "assignment/a", value = "{}", index = 0 },
    })
    assert.same({
      { KV = { Verb = "check-session", Key = "appmgr/leader", Session = ID } },
      { KV = { Verb = "cas", Key = "appmgr/assignment/a", Value = "e30=", Index = 0 } },
    }, json.decode(body))
    assert.equal("[]", client.encode_transaction({}))
  end)

  describe("transacts", function()
    it("and tells applied from refused", function()
      client:transaction("[]", nil, callback)
      assert.equal("PUT http://localhost:8500/v1/txn", http.last().method .. " " .. http.last().url)
      http.last().reply(409, '{"Results":null,"Errors":[]}\n')
      assert.equal(409, kept.result.status)
      client:transaction("[]", { consistent = true }, callback)
      assert.truthy(http.last().url:find("?consistent", 1, true))
      http.last().reply(200, '{"Results":[]}')
      assert.equal(200, kept.result.status)
    end)

    it("and takes no half answer", function()
      client:transaction("[]", nil, callback)
      http.last().reply(200, '{"Results":[{"KV":')
      assert.equal("http", kept.err.kind)
    end)
  end)

  describe("keeps sessions", function()
    it("made", function()
      client:session_create({ TTL = "30s" }, callback)
      assert.same({ TTL = "30s" }, json.decode(http.last().body))
      http.last().reply(200, json.encode({ ID = ID }))
      assert.equal(ID, kept.result)
    end)

    for _, body in ipairs({ "{}", '{"ID":"short"}', "[]", HTML, "" }) do
      it(("not made by %q"):format(body), function()
        client:session_create({}, callback)
        http.last().reply(200, body)
        assert.is_nil(kept.result)
        assert.truthy(kept.err)
      end)
    end

    it("renewed, unknown or in doubt", function()
      client:session_renew(ID, nil, callback)
      http.last().reply(200, json.encode({ { ID = ID, TTL = "30s" } }))
      assert.equal("30s", kept.result.TTL)
      client:session_renew(ID, nil, callback)
      http.last().reply(404, ("Session id '%s' not found\n"):format(ID))
      assert.is_false(kept.result)
      local doubts = { { 404, "not found" }, { 200, "[]" }, { 200, '[{"ID":"x"}]' }, { 500, "" }, { 404, "" } }
      for _, doubt in ipairs(doubts) do
        client:session_renew(ID, nil, callback)
        http.last().reply(doubt[1], doubt[2])
        assert.is_nil(kept.result)
        assert.truthy(kept.err)
      end
    end)

    it("listed by node", function()
      client:sessions_of_node("appmgr-a", nil, callback)
      http.last().reply(200, "[]")
      assert.same({}, kept.result)
    end)

    it("ended, and nodes entered and removed", function()
      for _, call in ipairs({
        { "session_destroy", ID, nil }, { "catalog_register", { Node = "n" } }, { "catalog_deregister", "n", nil },
      }) do
        if call[1] == "catalog_register" then
          client:catalog_register(call[2], callback)
        else
          client[call[1]](client, call[2], nil, callback)
        end
        http.last().reply(200, "true")
        assert.is_true(kept.result)
      end
    end)
  end)
end)
