--- Consul with ACLs that deny by default, and Consul over HTTPS.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local MASTER = "0ddba11c-0000-4000-8000-000000000001"

-- The policies that README.md calls minimal.
local CANDIDATE_RULES = [[
  key_prefix "appmgr/" { policy = "write" }
  session_prefix "" { policy = "write" }
  node_prefix "appmgr-" { policy = "write" }
]]
local WITHOUT_CATALOG_RULES = [[
  key_prefix "appmgr/" { policy = "write" }
  session_prefix "" { policy = "write" }
]]
local OTHER_RULES = [[ key_prefix "elsewhere/" { policy = "write" } ]]

describe("a Consul that denies by default", function()
  local test, consul

  local function token(name, rules)
    assert.equal(200, consul:request("PUT", "/v1/acl/policy", json.encode{Name = name, Rules = rules}).status)
    local made = consul:request("PUT", "/v1/acl/token", json.encode{Policies = {{Name = name}}})
    return json.decode(made.body).SecretID
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul{acl = MASTER}
    -- The ACL system answers a moment later than the store does.
    loop.wait_for("ACLs are ready", 15000, function()
      local response = consul:request("GET", "/v1/acl/policies")
      return response and response.status == 200, response and response.body
    end)
  end)

  teardown(function() test:close() end)

  it("is served with the minimal policy, by token_file", function()
    local secret = token("minimal", CANDIDATE_RULES)
    process.spit(test.dir .. "/token", secret .. "\n")
    local settings = {url = consul.url, session_TTL = 10, report_interval = 2, topology_interval = 2, token_file = test.dir .. "/token"}
    local alpha = test:join("alpha", consul, {config = {Consul = settings}})
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    test:wait_for_sleepers("web", 1)
    assert.equal("appmgr-alpha", consul:session(consul:entry("live/alpha").session).Node)
    assert.is_nil(alpha:log():find(secret, 1, true))
    alpha:cli("leave")
    alpha:stop()
  end)

  it("without permission for a catalog node: the client's own is used, and the log names what is missing", function()
    local secret = token("nocatalog", WITHOUT_CATALOG_RULES)
    local beta = test:agent("beta", {consul = consul, env = {CONSUL_HTTP_TOKEN = secret}})
    beta.config.Consul.token = nil
    beta:configure()
    beta:start():wait_joined()
    assert.equal(consul.name, consul:session(consul:entry("live/beta").session).Node)
    beta:wait_for_log("node:write")
    test:wait_for_sleepers("web", 1)
    beta:cli("leave")
    beta:stop()
  end)

  it("refuses a token for other things: the agent says so once, and runs its own", function()
    local secret = token("other", OTHER_RULES)
    local gamma = test:agent("gamma", {consul = consul, consul_settings = {token = secret},
      config = {Applications = {{name = "own", command = test:sleeper("own")}}}})
    gamma:start()
    test:wait_for_sleepers("own", 1)
    loop.wait_for("status tells that permission is denied", 10000, function()
      local out = gamma:cli("status").stdout
      return out:find("ermission denied", 1, true), out
    end)
    loop.hold("the log does not grow with every try", 4000, function()
      return select(2, gamma:log():gsub("\n", "")) < 30, gamma:log()
    end)
    for _, command in ipairs{{"status"}, {"status", "--json"}, {"repl", "-e", "config"}, {"repl", "-e", "dump(config)"}, {"tasks"}} do
      local result = gamma:cli(table.unpack(command))
      assert.is_nil((result.stdout .. result.stderr):find(secret, 1, true), table.concat(command, " "))
    end
    assert.is_nil(gamma:log():find(secret, 1, true))
    gamma:destroy()
  end)

  it("takes a token away while all runs: nothing stops", function()
    local secret = token("revoked", CANDIDATE_RULES)
    local delta = test:join("delta", consul, {consul_settings = {token = secret}})
    test:wait_for_sleepers("web", 1)
    local web = test:sleepers("web")
    local list = json.decode(consul:request("GET", "/v1/acl/tokens").body)
    for _, one in ipairs(list) do
      local full = json.decode(consul:request("GET", "/v1/acl/token/" .. one.AccessorID).body)
      if full.SecretID == secret then
        consul:request("DELETE", "/v1/acl/token/" .. one.AccessorID)
      end
    end
    delta:cli("status")
    loop.wait_for("status tells it", 30000, function()
      local problems = delta:json("status").problems
      return #problems > 0
    end)
    assert.same(web, test:sleepers("web"))
    assert.is_nil(delta:log():find(secret, 1, true))
  end)
end)

describe("a Consul over HTTPS", function()
  local test, consul, pki

  local function openssl(...)
    local result = process.run{"openssl", ...}
    assert(result.code == 0, result.stderr)
  end

  local function certificate(name, extension)
    local base = pki .. "/" .. name
    process.spit(base .. ".ext", extension)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", base .. ".key", "-out", base .. ".csr", "-subj", "/CN=" .. name)
    openssl("x509", "-req", "-in", base .. ".csr", "-CA", pki .. "/ca.pem", "-CAkey", pki .. "/ca.key", "-CAcreateserial",
      "-out", base .. ".pem", "-days", "2", "-extfile", base .. ".ext")
  end

  setup(function()
    test = harness.open()
    pki = test.dir
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pki .. "/ca.key", "-out", pki .. "/ca.pem",
      "-subj", "/CN=test CA", "-days", "2")
    certificate("server", "subjectAltName=DNS:consul.test\nextendedKeyUsage=serverAuth,clientAuth")
    certificate("client", "subjectAltName=DNS:client.test\nextendedKeyUsage=clientAuth")
    consul = test:start_consul{tls = {
      ca_file = pki .. "/ca.pem", cert_file = pki .. "/server.pem", key_file = pki .. "/server.key",
      verify_incoming_https = true,
    }}
  end)

  teardown(function() test:close() end)

  -- Stands for a setting that is to be left out.
  local NONE = {}

  local function settings(changes)
    local block = {
      url = consul.https_url, session_TTL = 10, report_interval = 2, topology_interval = 2, ca_file = pki .. "/ca.pem",
      cert_file = pki .. "/client.pem", key_file = pki .. "/client.key", tls_server_name = "consul.test",
    }
    for name, value in pairs(changes or {}) do
      if value == NONE then
        value = nil
      end
      block[name] = value
    end
    return {Consul = block}
  end

  it("is served with ca_file, cert_file, key_file and tls_server_name", function()
    test:join("alpha", consul, {config = settings()})
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    test:wait_for_sleepers("web", 1)
  end)

  it("is served without verification only when verify is false", function()
    test:join("beta", consul, {config = settings{ca_file = NONE, tls_server_name = NONE, verify = false}})
  end)

  local function expect_refused(node, changes)
    local agent = test:agent(node, {consul = consul, config = settings(changes)}):start()
    loop.wait_for(node .. " tells a TLS problem", 15000, function()
      local out = agent:cli("status").stdout:lower()
      for _, text in ipairs{"certificate", "ssl", "tls"} do
        if out:find(text, 1, true) then
          return true
        end
      end
      return false, out
    end)
    assert.is_nil(consul:entry("live/" .. node))
    agent:destroy()
  end

  it("is refused when its certificate has another name", function()
    expect_refused("gamma", {tls_server_name = "other.test"})
  end)

  it("is refused when its CA is not ours", function()
    expect_refused("delta", {ca_file = NONE})
  end)

  it("refuses a client without a certificate, and that is told", function()
    expect_refused("epsilon", {cert_file = NONE, key_file = NONE})
  end)
end)
