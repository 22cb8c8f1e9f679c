local core = require("spec.support.core")
local codec = require("core.codec")
local fake_request = require("spec.support.fake_request")
local fake_timer = require("spec.support.fake_timer")
local logs = require("appmgr.control.logs")

assert(core)

--- A file in memory that handles read from.
local function file_system(files)
  return function(path)
    local text = files[path]
    if not text then return nil, path .. ": no such file" end
    local position = 0
    return {
      seek = function(_, whence, offset)
        position = whence == "end" and #text or offset or position
        return position
      end,
      read = function(_, count)
        local bytes = text:sub(position + 1, position + count)
        position = position + #bytes
        return bytes ~= "" and bytes or nil
      end,
      close = function() end,
    }
  end
end

local function setup(text)
  local files, rows, timer = { ["/log/web"] = text }, { { name = "web" } }, fake_timer.new()
  local agent = { node = "alpha", apps = {
    list = function() return rows end,
    output_path = function(_, name) return "/log/" .. name end,
  } }
  local handler = logs.new({ codec = codec, timer = timer }, file_system(files))
  return { files = files, rows = rows, timer = timer, show = function(params)
    local request = fake_request.new(params)
    handler.show(agent, request)
    return request
  end }
end

local function output(request)
  local parts = {}
  for i, event in ipairs(request.events) do parts[i] = codec.base64_decode(event.bytes_base64) end
  return table.concat(parts)
end

describe("app.logs", function()
  it("sends the last lines", function()
    local s = setup("one\ntwo\nthree\n")
    assert.equal("two\nthree\n", output(s.show({ name = "web", lines = 2 })))
    assert.equal("one\ntwo\nthree\n", output(s.show({ name = "web", lines = 99 })))
    assert.equal("one\ntwo\nthree\n", output(s.show({ name = "web" })))
    assert.equal("", output(s.show({ name = "web", lines = 0 })))
    s.files["/log/web"] = "one\n\nhalf"
    assert.equal("half", output(s.show({ name = "web", lines = 1 })))
    assert.equal("\nhalf", output(s.show({ name = "web", lines = 2 })))
    assert.equal("one\n\nhalf", output(s.show({ name = "web", lines = 3 })))
  end)

  it("sends nothing for an application that wrote nothing", function()
    local s = setup(nil)
    local request = s.show({ name = "web" })
    assert.same({}, request.result)
    assert.equal("", output(request))
  end)

  it("names the nearest application to an unknown one", function()
    local request = setup("").show({ name = "wbe" })
    assert.equal("not_found", request.code)
    assert.truthy(request.message:find('did you mean "web"?', 1, true))
    assert.equal("bad_request", setup("").show({ name = "web", lines = -1 }).code)
  end)

  it("follows, across a file that is begun anew, until the client goes", function()
    local s = setup("one\n")
    local request = s.show({ name = "web", lines = 1, follow = true })
    assert.equal("one\n", output(request))
    s.files["/log/web"] = "one\ntwo\n"
    s.timer.advance(200)
    assert.equal("one\ntwo\n", output(request))
    s.files["/log/web"] = "new\n"
    s.timer.advance(200)
    assert.equal("one\ntwo\nnew\n", output(request))
    request.disconnect()
    s.files["/log/web"] = "new\nlater\n"
    s.timer.advance(1000)
    assert.equal("one\ntwo\nnew\n", output(request))
  end)

  it("ends when the application is no longer there", function()
    local s = setup("one\n")
    local request = s.show({ name = "web", follow = true })
    s.rows[1] = nil
    s.timer.advance(200)
    assert.truthy(request.result.ended:find('"web"', 1, true))
  end)
end)
