--- A Consul client on a fake transport, and answers as Consul words them.

local core = require("spec.support.core")
local Client = require("appmgr.consul.client")
local fake_http = require("spec.support.fake_http")
local fake_log = require("spec.support.fake_log")

local M = {}

--- @tparam[opt] table config the `Consul` block
-- @tparam[opt] table environment name → value
-- @tparam[opt] table file a core.file, for token_file
-- @treturn table client
-- @treturn table http the fake transport
-- @treturn table log
function M.client(config, environment, file)
  local http, log = fake_http.new(), fake_log.new()
  local client = assert(Client.new({
    http = http, log = log, codec = core.codec, json = core.json, file = file, config = config or {},
    environment = function(name) return (environment or {})[name] end,
  }))
  return client, http, log
end

--- A listing as `GET /v1/kv/…` answers it.
-- @tparam table entries array of {key (whole), value, session, index}
function M.listing(entries)
  local list = {}
  for i, entry in ipairs(entries) do
    list[i] = {
      Key = entry.key, Value = entry.value and core.codec.base64_encode(entry.value) or nil, Flags = 0,
      Session = entry.session, LockIndex = 0, CreateIndex = 1, ModifyIndex = entry.index or 1,
    }
  end
  return core.json.encode(core.json.array(list))
end

--- The headers of an answer with this index.
function M.index(index)
  return { ["x-consul-index"] = tostring(index), ["content-type"] = "application/json" }
end

return M
