--- A planner beside the one in use, with a policy of its own: what it says has no effect, and what goes wrong with it is told
-- once, and ends it. A trial (trial.lua) and the shadow (shadow.lua) each have one.
local frame = require("appmgr.planner.frame")

local M = {}

local Beside = {}
Beside.__index = Beside

local function fail(self, reason)
  self:stop()
  self.on_fail(reason)
end

local function take_message(self, bytes)
  local header, reason = frame.decode(bytes)
  if not header then return fail(self, "its planner wrote nonsense: " .. reason) end
  if header.type == "error" then return fail(self, "its planner said: " .. tostring(header.message)) end
  if header.type == "configured" and not header.ok then return fail(self, tostring(header.error)) end
  local take = self.on_message[header.type]
  if not take then return fail(self, "its planner wrote nonsense: " .. header.type) end
  self.is_configured = self.is_configured or header.type == "configured"
  take(header)
end

--- Starts one, and gives it its policy.
-- @tparam table deps `timer`, `planner` (core.planner), `node`, `prefix` (of keys)
-- @tparam table policy {name, source, options, hash}
-- @tparam table options `follows` (see Model.new); `on_message`: functions (header) by type, `configured` among them; `on_fail`:
--   function(reason), once, when it has ended by itself; neither is called from inside of `start`, nor after `stop`
-- @treturn[1] Beside `is_configured`: the policy is loaded
-- @treturn[2] nil
-- @treturn[2] string why there is none
function M.start(deps, policy, options)
  local self = setmetatable({
    timer = deps.timer, on_message = options.on_message, on_fail = options.on_fail, is_configured = false,
  }, Beside)
  local planner, err
  planner, err = deps.planner.start({
    on_message = function(bytes)
      if planner and planner == self.planner then take_message(self, bytes) end
    end,
    on_exit = function(reason)
      if planner and planner == self.planner then
        self.planner = nil
        fail(self, "its planner ended: " .. tostring(reason))
      end
    end,
  })
  if not planner then return nil, "its planner cannot be started: " .. tostring(err) end
  self.planner = planner
  self:send({
    type = "configure", node = deps.node, prefix = deps.prefix, follows = options.follows,
    policy = { name = policy.name, options = policy.options, hash = policy.hash },
  }, policy.source)
  return self
end

--- Sends it a message; one that has ended hears nothing.
-- @tparam table header see planner/frame.lua
-- @tparam[opt] string body
function Beside:send(header, body)
  if self.planner then self.planner:send(frame.encode(header, body)) end
end

--- Expects what is due within a time; instead of what was expected before.
-- @tparam integer longest_ms
-- @tparam function reason → string: what to say when it is not there by then
function Beside:expect(longest_ms, reason)
  self:settle()
  self.deadline = self.timer.after(longest_ms, function()
    self.deadline = nil
    fail(self, reason())
  end)
end

--- Expects nothing any more.
function Beside:settle()
  if self.deadline then self.deadline:cancel() end
  self.deadline = nil
end

--- Ends it.
function Beside:stop()
  self:settle()
  local planner = self.planner
  self.planner = nil
  if planner then planner:kill() end
end

return M
