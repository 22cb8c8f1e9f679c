local environment = require("appmgr.consul.environment")

local function resolve(config, variables)
  return environment.resolve(config or {}, function(name) return (variables or {})[name] end)
end

describe("Consul settings", function()
  it("default to the local client without a token", function()
    local settings = resolve()
    assert.same({ { url = "http://localhost:8500" } }, settings.servers)
    assert.equal("appmgr", settings.prefix)
    assert.is_true(settings.verify)
    assert.is_nil(settings.token)
  end)

  it("take the environment as Consul's own command line does", function()
    local settings = resolve({}, {
      CONSUL_HTTP_ADDR = "consul.example:8501", CONSUL_HTTP_SSL = "true", CONSUL_HTTP_TOKEN = "t",
      CONSUL_CACERT = "/ca", CONSUL_CLIENT_CERT = "/cert", CONSUL_CLIENT_KEY = "/key", CONSUL_TLS_SERVER_NAME = "name",
      CONSUL_HTTP_SSL_VERIFY = "0", CONSUL_HTTP_AUTH = "u:p", CONSUL_NAMESPACE = "ns", CONSUL_PARTITION = "part",
    })
    assert.same({ { url = "https://consul.example:8501" } }, settings.servers)
    assert.same({ "t", "/ca", "/cert", "/key", "name", false, "u:p", "ns", "part" }, {
      settings.token, settings.ca_file, settings.cert_file, settings.key_file, settings.tls_server_name,
      settings.verify, settings.auth, settings.namespace, settings.partition,
    })
  end)

  it("let the file win over the environment", function()
    local settings = resolve({ url = "http://a:1", token = "file", verify = true, ca_file = "/f" },
      { CONSUL_HTTP_ADDR = "b:2", CONSUL_HTTP_TOKEN = "env", CONSUL_HTTP_SSL_VERIFY = "false", CONSUL_CACERT = "/e" })
    assert.same({ { url = "http://a:1" } }, settings.servers)
    assert.equal("file", settings.token)
    assert.is_true(settings.verify)
    assert.equal("/f", settings.ca_file)
  end)

  it("let a token_file of the file win over a token of the environment", function()
    local settings = resolve({ token_file = "/t" }, { CONSUL_HTTP_TOKEN = "env" })
    assert.is_nil(settings.token)
    assert.equal("/t", settings.token_file)
  end)

  it("treat empty variables as unset", function()
    assert.equal("http://localhost:8500", resolve({}, { CONSUL_HTTP_ADDR = "" }).servers[1].url)
  end)

  it("list url and urls once each, in order", function()
    local settings = resolve({ url = "http://a:1/", urls = { "http://b:1", "http://a:1" } })
    assert.same({ { url = "http://a:1" }, { url = "http://b:1" } }, settings.servers)
  end)

  it("understand unix sockets", function()
    local settings = resolve({}, { CONSUL_HTTP_ADDR = "unix:///run/consul.sock" })
    assert.same({ { url = "http://localhost", unix_socket = "/run/consul.sock" } }, settings.servers)
  end)

  for address, reason in pairs({
    ["ftp://a"] = "use http", ["unix://relative"] = "absolute path", [""] = "no address",
    ["http://u:secret@h:1"] = "credentials", ["http://a b"] = "no address", ["h:1?x"] = "no address",
  }) do
    it(("refuse the address %q"):format(address), function()
      local settings, err = resolve({ url = address })
      assert.is_nil(settings)
      assert.truthy(err:find(reason, 1, true), err)
      assert.falsy(err:find("secret", 1, true))
    end)
  end

  it("strip slashes around the prefix", function()
    assert.equal("a/b", resolve({ prefix = "/a/b/" }).prefix)
  end)

  it("say what cannot be honoured", function()
    assert.truthy(resolve({}, { CONSUL_CAPATH = "/etc/ssl" }).warning:find("CONSUL_CACERT", 1, true))
  end)
end)
