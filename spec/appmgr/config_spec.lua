require("spec.support.core")
local config = require("appmgr.config")
local fake_file = require("spec.support.fake_file")

local PATH = "/etc/appmgr/appmgr.json"

local function errors_of(text)
  local parsed, err = config.parse(text, PATH)
  assert.is_nil(parsed)
  return err
end

describe("the configuration", function()
  it("reads the example of the design and fills in what is not said", function()
    local parsed = assert(config.parse([[
{ "Description": "web tier", "LogLevel": "INFO",
  "Labels": { "arch": "x86_64", "zone": "a" },
  "Applications": [ { "name": "ping", "command": "ping 127.0.0.1", "cache_lines": 30 } ],
  "Consul": { "url": "http://localhost:8500", "session_node": null, "session_TTL": 30,
              "report_interval": 10, "topology_interval": 5 },
  "Policy": { "name": "spread" } }]], PATH))
    assert.equal("INFO", parsed.LogLevel)
    assert.same({ arch = "x86_64", zone = "a" }, parsed.Labels)
    assert.equal("ping", parsed.Applications[1].name)
    assert.same({ "ping", "127.0.0.1" }, parsed.Applications[1].argv)
    assert.equal(30, parsed.Applications[1].cache_lines)
    assert.same({
      url = "http://localhost:8500", session_TTL = 30, report_interval = 10, topology_interval = 5,
      prefix = "appmgr", lock_delay = "0s", candidate = true,
    }, parsed.Consul)
    assert.equal("spread", parsed.Policy.name)
  end)

  it("may be empty", function()
    local parsed = assert(config.parse("{}", PATH))
    assert.same({}, parsed.Applications)
    assert.is_nil(parsed.Consul)
    assert.equal("spread", parsed.Policy.name)
  end)

  it("says where broken JSON is broken", function()
    assert.matches("^" .. PATH .. ":?[%d:]*: no valid JSON: ", (errors_of('{\n  "LogLevel": INFO }')))
    assert.matches("must be a JSON object", errors_of("[1]"))
    assert.matches("must be a JSON object", errors_of("[]"))
  end)

  it("refuses a key that stands twice, of which only one could count", function()
    assert.equal(PATH .. ':3: "url" stands twice in one object, and only one of them can count; remove the other',
      errors_of('{"Consul":{"url":"http://a:1",\n"token":"s",\n"url":"http://b:1"}}'))
    assert.truthy(config.parse('{"Applications":[{"name":"a","command":"x"},{"name":"b","command":"x"}]}', PATH))
  end)

  it("names the nearest key, and where the unknown one stands", function()
    local err = errors_of('{\n  "Consul": {\n    "sesion_TTL": 30 } }')
    assert.equal(PATH .. ':3:5: Consul.sesion_TTL: unknown field; did you mean "session_TTL"?', err)
  end)

  it("refuses an address that the agent would not start with", function()
    assert.truthy(errors_of('{"Consul":{"url":"ftp://a:1"}}'):find('Consul.url: address "ftp://a:1": use http://', 1, true))
    assert.truthy(errors_of('{"Consul":{"urls":["http://a:1","unix://b"]}}'):find("address 2 address \"unix://b\": a unix", 1, true))
  end)

  it("names the known words once", function()
    local err = errors_of('{"LogLevel":"TRACE"}')
    assert.truthy(err:find('"TRACE" is none of DEBUG, INFO, WARN, ERROR', 1, true))
    assert.is_nil(err:find("known are", 1, true))
  end)

  it("tells all that is wrong at once", function()
    local err = errors_of([[{ "LogLevel": "DEBG", "Colour": 1,
      "Consul": { "session_TTL": 5, "token": "s3cr3t", "token_file": "/t", "cert_file": "/c", "lock_delay": 15,
                  "url": "http://me:s3cr3t@host" } }]])
    for _, text in ipairs({
      'LogLevel: "DEBG" is none of DEBUG, INFO, WARN, ERROR; did you mean "DEBUG"?', "Colour: unknown field",
      "Consul.session_TTL: must be a number from 10 to 86400", "give token or token_file, not both",
      "cert_file and key_file need each other", "Consul.lock_delay: must be a time", "must not hold a password",
    }) do
      assert.truthy(err:find(text, 1, true), text .. " is not in " .. err)
    end
    assert.is_nil(err:find("s3cr3t", 1, true))
  end)

  it("refuses applications by name", function()
    local err = errors_of([[{ "Applications": [ { "name": "a", "comand": "x" }, { "command": "x" },
      { "name": "b", "command": "x" }, { "name": "b", "command": "y" },
      { "name": "c", "command": "x", "resource_limit": 7 }, 7 ] }]])
    for _, text in ipairs({
      'Applications "a": command: is missing', 'did you mean "command"?', "Applications[2]: name: is missing",
      'Applications "b": the name is used twice', 'Applications "c": resource_limit: must be an object',
      "Applications[6]: must be an object",
    }) do
      assert.truthy(err:find(text, 1, true), text .. " is not in " .. err)
    end
  end)

  it("limits what tasks may run", function()
    local parsed = config.parse([[{ "Tasks": { "users": ["www-data", "33:33"], "commands": ["/usr/bin/*"] } }]], PATH)
    assert.same({ enabled = true, users = { "www-data", "33:33" }, commands = { "/usr/bin/*" } }, parsed.Tasks)
    assert.is_nil(config.parse("{}", PATH).Tasks)
    local err = errors_of([[{ "Tasks": { "enabled": "no", "users": ["a b"], "commands": ["sleep"], "command": 1 } }]])
    for _, text in ipairs({
      "Tasks.enabled: must be true or false", "Tasks.users: entry 1 is none of users",
      "Tasks.commands: entry 1 is none of absolute paths", 'did you mean "commands"?',
    }) do
      assert.truthy(err:find(text, 1, true), text .. " is not in " .. err)
    end
    for _, path in ipairs({ "/usr/../bin/x", "/a//b", "/a\\nuser root" }) do
      assert.truthy(errors_of(('{ "Tasks": { "commands": ["%s"] } }'):format(path)):find("entry 1 is none of", 1, true))
    end
  end)

  it("takes a policy's options as they are, and the name of a shadow", function()
    assert.truthy(config.parse([[{ "Policy": { "name": "spread", "options": {} } }]], PATH))
    local parsed = assert(config.parse([[{ "Policy": { "name": "spread", "options": { "weight": 2 }, "shadow": "binpack" } }]], PATH))
    assert.same({ 2, "binpack" }, { parsed.Policy.options.weight, parsed.Policy.shadow })
    assert.matches("Policy.options: must be an object", errors_of([[{ "Policy": { "name": "spread", "options": 2 } }]]))
  end)

  it("moves nothing for balance unless it is told to, and then by its terms", function()
    assert.is_nil(config.parse("{}", PATH).Policy.rebalance)
    local function read(text) return config.parse(('{ "Policy": { "rebalance": %s } }'):format(text), PATH) end
    local function terms(text) return assert(read(text)).Policy.rebalance end
    assert.same({ max_moves = 1, interval_seconds = 60, margin = 0.1 }, terms("{}"))
    assert.same({ max_moves = 5, interval_seconds = 10, margin = 0 }, terms('{ "max_moves": 5, "interval_seconds": 10, "margin": 0 }'))
    assert.equal("spread", config.parse('{ "Policy": { "rebalance": {} } }', PATH).Policy.name)
    for text, reason in pairs({
      ['true'] = "Policy.rebalance: must be an object",
      ['{ "max_moves": 0 }'] = "max_moves: must be a whole number from 1 to 1000",
      ['{ "interval_seconds": 0.5 }'] = "interval_seconds: must be a whole number",
      ['{ "margin": -1 }'] = "margin: must be a number from 0",
      ['{ "max_move": 1 }'] = 'did you mean "max_moves"?',
    }) do
      assert.truthy(errors_of(('{ "Policy": { "rebalance": %s } }'):format(text)):find(reason, 1, true), text)
    end
  end)

  it("that cannot be read names the file and the next step", function()
    local parsed, err = config.read(fake_file.new(), "/nowhere.json")
    assert.is_nil(parsed)
    assert.matches("cannot read the configuration: /nowhere.json: No such file", err)
    assert.matches("%-%-config", err)
  end)
end)

describe("a policy of the configuration", function()
  local file

  before_each(function()
    file = fake_file.new({
      ["/share/policies/spread.lua"] = "return 1", ["/share/policies/round_robin.lua"] = "return 2",
      ["/home/mine.lua"] = "return 3",
    })
  end)

  it("is found by name among those installed, or by path", function()
    local policy = assert(config.load_policy({ name = "round_robin", options = { a = 1 } }, file, "/share"))
    assert.same({ name = "round_robin", path = "/share/policies/round_robin.lua", source = "return 2",
      options = { a = 1 } }, policy)
    assert.equal("return 3", assert(config.load_policy({ name = "/home/mine.lua" }, file, "/share")).source)
  end)

  it("that is not there names the nearest", function()
    local policy, err = config.load_policy({ name = "spraed" }, file, "/share")
    assert.is_nil(policy)
    assert.matches('did you mean "spread"', err)
    policy, err = config.load_policy({ name = "/home/no.lua" }, file, "/share")
    assert.is_nil(policy)
    assert.matches("/home/no.lua: No such file", err)
  end)

  it("is read together with its shadow", function()
    local both = assert(config.load_policies({ name = "spread", shadow = "/home/mine.lua" }, file, "/share"))
    assert.same({ "return 1", "return 3" }, { both.policy.source, both.shadow.source })
    assert.is_nil(assert(config.load_policies({ name = "spread" }, file, "/share")).shadow)
    local none, err = config.load_policies({ name = "spread", shadow = "no" }, file, "/share")
    assert.is_nil(none)
    assert.matches('^shadow: Policy: there is no policy "no"', err)
  end)
end)
