--- From the `Consul` block and the CONSUL_* environment to connection settings.
--
-- The variables mean what they mean to Consul's own command line; what stands
-- in the file wins over them. Pure: reads no file and opens no connection.
local M = {}

local DEFAULT_ADDRESS = "http://localhost:8500"
local DEFAULT_PREFIX = "appmgr"

--- A truth value as Go's strconv.ParseBool reads it; nil for anything else.
local function parse_boolean(text)
  if text == nil then return nil end
  local lower = text:lower()
  if lower == "1" or lower == "t" or lower == "true" then return true end
  if lower == "0" or lower == "f" or lower == "false" then return false end
  return nil
end

--- Splits an address into what the transport needs.
-- @tparam string address `host:port`, `http(s)://host:port[/path]` or `unix:///path`
-- @tparam boolean tls scheme of an address that names none
-- @treturn table|nil {url, unix_socket}: url without a slash at its end
-- @treturn ?string why not
function M.parse_address(address, tls)
  local path = address:match("^unix://(.+)$")
  if path then
    if path:sub(1, 1) ~= "/" then
      return nil, ('address "%s": a unix socket needs an absolute path, unix:///path/to/socket'):format(address)
    end
    return { url = "http://localhost", unix_socket = path }
  end
  local scheme, rest = address:match("^(%a[%w+.-]*)://(.*)$")
  if scheme and scheme ~= "http" and scheme ~= "https" then
    return nil, ('address "%s": use http://, https:// or unix://'):format(address)
  end
  rest = (rest or address):gsub("/+$", "")
  if rest == "" or rest:find("[%s?#]") then
    return nil, ('address "%s" is no address of a Consul server; write http://host:8500'):format(address)
  end
  if rest:find("@", 1, true) then
    return nil, "an address with credentials in it would show in logs; use token or CONSUL_HTTP_AUTH"
  end
  return { url = (scheme or (tls and "https" or "http")) .. "://" .. rest }
end

--- The addresses in the order they are tried, each once.
local function addresses(config, environment, tls)
  local listed, seen, servers = {}, {}, {}
  listed[1] = config.url
  for _, url in ipairs(config.urls or {}) do listed[#listed + 1] = url end
  if #listed == 0 then listed[1] = environment("CONSUL_HTTP_ADDR") or DEFAULT_ADDRESS end
  for _, text in ipairs(listed) do
    local server, err = M.parse_address(text, tls)
    if not server then return nil, err end
    local name = server.unix_socket or server.url
    if not seen[name] then
      seen[name] = true
      servers[#servers + 1] = server
    end
  end
  return servers
end

--- Whether the server's certificate is checked: the file, then the variable, then yes.
local function verify_setting(config, environment)
  if config.verify ~= nil then return config.verify end
  local verify = parse_boolean(environment("CONSUL_HTTP_SSL_VERIFY"))
  if verify == nil then return true end
  return verify
end

--- Says what is set but cannot be honoured; nothing is ignored in silence.
local function unsupported(environment)
  if environment("CONSUL_CAPATH") then
    return "CONSUL_CAPATH is not supported; name one file in CONSUL_CACERT or Consul.ca_file"
  end
end

--- Resolves all settings.
-- @tparam table config the `Consul` block of the configuration (url, urls, token, token_file, ca_file, cert_file,
--   key_file, tls_server_name, verify, datacenter, prefix), without defaults filled in
-- @tparam function environment name → value or nil
-- @treturn table|nil {servers = {{url, unix_socket}…}, token, token_file, auth ("user:password"), ca_file, cert_file,
--   key_file, tls_server_name, verify, datacenter, namespace, partition, prefix, warning}
-- @treturn ?string why not
function M.resolve(config, environment)
  local function variable(name)
    local value = environment(name)
    if value ~= "" then return value end
  end
  local servers, err = addresses(config, variable, parse_boolean(variable("CONSUL_HTTP_SSL")) or false)
  if not servers then return nil, err end
  local file_has_token = config.token or config.token_file
  return {
    servers = servers,
    token = config.token or not file_has_token and variable("CONSUL_HTTP_TOKEN") or nil,
    token_file = config.token_file or not file_has_token and variable("CONSUL_HTTP_TOKEN_FILE") or nil,
    auth = variable("CONSUL_HTTP_AUTH"),
    ca_file = config.ca_file or variable("CONSUL_CACERT"),
    cert_file = config.cert_file or variable("CONSUL_CLIENT_CERT"),
    key_file = config.key_file or variable("CONSUL_CLIENT_KEY"),
    tls_server_name = config.tls_server_name or variable("CONSUL_TLS_SERVER_NAME"),
    verify = verify_setting(config, variable),
    datacenter = config.datacenter,
    namespace = variable("CONSUL_NAMESPACE"),
    partition = variable("CONSUL_PARTITION"),
    prefix = ((config.prefix or DEFAULT_PREFIX):gsub("^/+", ""):gsub("/+$", "")),
    warning = unsupported(variable),
  }
end

return M
