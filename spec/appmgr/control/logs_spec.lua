require("spec.support.core")
local codec = require("core.codec")
local fake_file = require("spec.support.fake_file")
local fake_request = require("spec.support.fake_request")
local fake_timer = require("spec.support.fake_timer")
local logs = require("appmgr.control.logs")

local LOG <const> = "/log/web"

local function setup(text)
  local file, rows, timer = fake_file.new({ [LOG] = text }), { { name = "web" } }, fake_timer.new()
  local apps = { known = true }
  function apps.list() return rows end
  function apps.row(_, name)
    for _, row in ipairs(rows) do
      if row.name == name then return row end
    end
  end
  function apps.is_known() return apps.known end
  function apps.output_path(_, name) return "/log/" .. name end
  local handler = logs.new({ codec = codec, timer = timer, file = file })
  local s = { files = file.texts, file = file, rows = rows, timer = timer, apps = apps }
  function s.show(params)
    local request = fake_request.new(params)
    handler.show({ node = "alpha", apps = apps }, request)
    return request
  end
  --- Moves the files away as the logger does, keeping `count` of them, and begins a new one.
  function s.rotate(new_text, count)
    for number = count, 1, -1 do
      local from, to = number == 1 and LOG or ("%s.%d"):format(LOG, number - 1), ("%s.%d"):format(LOG, number)
      for _, kept in ipairs({ file.texts, file.inodes, file.times }) do kept[to] = kept[from] end
    end
    s.inode = (s.inode or 1) + 1
    file.texts[LOG], file.inodes[LOG], file.times[LOG] = new_text, s.inode, 1000 + s.inode
    file.inodes[LOG .. ".1"] = file.inodes[LOG .. ".1"] or 1
  end
  return s
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

  it("reads a file that was moved away to its end, then all younger ones in their order", function()
    local s = setup("one\n")
    local request = s.show({ name = "web", follow = true })
    s.files[LOG] = "one\ntwo\n"
    s.rotate("three\n", 3)
    s.timer.advance(400)
    assert.equal("one\ntwo\nthree\n", output(request))
    s.rotate("four\n", 3)
    s.rotate("five\n", 3)
    s.timer.advance(600)
    assert.equal("one\ntwo\nthree\nfour\nfive\n", output(request))
  end)

  it("goes on with the oldest that is left when the one it read is gone", function()
    local s = setup("one\n")
    local request = s.show({ name = "web", follow = true })
    for _, text in ipairs({ "lost\n", "three\n", "four\n" }) do s.rotate(text, 1) end
    s.timer.advance(600)
    assert.equal("one\nthree\nfour\n", output(request))
    assert.matches("lines may be missing here", request.events[2].note)
    assert.is_nil(request.events[3].note)
    s.files[LOG .. ".1"] = nil
    s.file.inodes[LOG], s.files[LOG] = 77, "five\n"
    s.timer.advance(200)
    assert.equal("one\nthree\nfour\nfive\n", output(request))
  end)

  it("knows a file from the one before it that had the same inode", function()
    local s = setup("one\n")
    s.file.births[LOG] = "1.0"
    local request = s.show({ name = "web", follow = true })
    s.file.births[LOG], s.files[LOG], s.file.times[LOG] = "2.0", "three\nfour\n", 1001
    s.timer.advance(200)
    assert.equal("one\nthree\nfour\n", output(request))
    assert.matches("lines may be missing here", request.events[2].note)
    local place = request.events[2].at
    place.born = nil -- of a client that knows nothing of it
    s.files[LOG] = "three\nfour\nfive\n"
    assert.equal("five\n", output(s.show({ name = "web", from = place })))
    place.born = 2
    assert.equal("bad_request", s.show({ name = "web", from = place }).code)
  end)

  it("does not take what was moved away long ago for news", function()
    local s = setup("old\n")
    s.rotate("one\n", 1)
    local request = s.show({ name = "web", lines = 1, follow = true })
    s.file.inodes[LOG], s.files[LOG] = 77, "two\n"
    s.timer.advance(200)
    assert.equal("one\ntwo\n", output(request))
  end)

  it("takes what the newest file lacks from the one before", function()
    local s = setup("one\ntwo\n")
    s.rotate("three\n", 1)
    assert.equal("two\nthree\n", output(s.show({ name = "web", lines = 2 })))
    assert.equal("one\ntwo\nthree\n", output(s.show({ name = "web", lines = 9 })))
    assert.equal("three\n", output(s.show({ name = "web", lines = 1 })))
    s.rotate("", 1)
    assert.equal("three\n", output(s.show({ name = "web", lines = 1 })))
  end)

  it("takes the last lines from as many files as have them, and says when it does not look farther", function()
    local s = setup("one\n")
    for _, text in ipairs({ "two\nthree\n", "four\n", "five\nsix\n" }) do s.rotate(text, 3) end
    assert.equal("two\nthree\nfour\nfive\nsix\n", output(s.show({ name = "web", lines = 5 })))
    assert.equal("one\ntwo\nthree\nfour\nfive\nsix\n", output(s.show({ name = "web", lines = 6 })))
    assert.equal("three\nfour\nfive\nsix\n", output(s.show({ name = "web", lines = 4 })))
    local long = ("x"):rep(99) .. "\n"
    local big = setup(long:rep(30000))
    local request = big.show({ name = "web", lines = 20000 })
    assert.equal(2000000, #output(request))
    assert.is_nil(request.events[1].note)
    big.rotate(long:rep(30000), 1)
    request = big.show({ name = "web", lines = 60000 })
    assert.equal(4 << 20, #output(request))
    assert.matches("there are more lines", request.events[1].note)
  end)

  it("keeps up with who writes 2 MB a second", function()
    local s = setup("one\n")
    local request = s.show({ name = "web", lines = 0, follow = true })
    for turn = 1, 5 do
      s.files[LOG] = "one\n" .. ("x"):rep(400000 * turn)
      s.timer.advance(200)
    end
    assert.equal(2000000, #output(request))
  end)

  it("goes on from a place for a client that comes back", function()
    local s = setup("one\n")
    local first = s.show({ name = "web", lines = 0, follow = true })
    assert.equal("", output(first))
    first.disconnect()
    s.files[LOG] = "one\ntwo\n"
    s.rotate("three\n", 1)
    local second = s.show({ name = "web", follow = true, from = first.events[1].at })
    s.timer.advance(400)
    assert.equal("two\nthree\n", output(second))
    assert.equal("bad_request", s.show({ name = "web", from = { inode = 1 } }).code)
    local nothing = setup(nil)
    local waiting = nothing.show({ name = "web", follow = true })
    nothing.files[LOG] = "one\n"
    local again = nothing.show({ name = "web", follow = true, from = waiting.events[1].at })
    nothing.timer.advance(200)
    assert.equal("one\n", output(again))
  end)

  --- An index: pairs of a time in seconds and an offset.
  local function index(...)
    local parts, values = {}, { ... }
    for i = 1, #values, 2 do parts[#parts + 1] = ("<i8i8"):pack(values[i] * 1000, values[i + 1]) end
    return table.concat(parts)
  end

  it("sends what was written since a moment, from the file that has it on", function()
    local s = setup("one\ntwo\nthree\n")
    s.files[LOG .. ".index"] = index(100, 0, 200, 4, 300, 8)
    s.file.times[LOG] = 300
    local function since(moment) return output(s.show({ name = "web", since = moment })) end
    assert.equal("one\ntwo\nthree\n", since(50))
    assert.equal("two\nthree\n", since(102))
    assert.equal("two\nthree\n", since(200))
    assert.equal("three\n", since(202))
    assert.equal("", since(301))
    s.rotate("four\nfive\n", 2)
    s.files[LOG .. ".1.index"], s.files[LOG .. ".index"] = s.files[LOG .. ".index"], index(400, 0, 500, 5)
    s.file.times[LOG .. ".1"], s.file.times[LOG] = 300, 500
    assert.equal("three\nfour\nfive\n", since(250))
    assert.equal("four\nfive\n", since(350))
    assert.equal("five\n", since(450))
    assert.equal("", since(600))
    assert.equal("bad_request", s.show({ name = "web", since = "1h" }).code)
  end)

  it("takes a file without an index whole, unless it is older than the moment", function()
    local s = setup("one\n")
    s.rotate("two\n", 1)
    s.file.times[LOG .. ".1"], s.file.times[LOG] = 100, 200
    assert.equal("two\n", output(s.show({ name = "web", since = 150 })))
    assert.equal("one\ntwo\n", output(s.show({ name = "web", since = 50 })))
    assert.equal("", output(setup(nil).show({ name = "web", since = 50 })))
  end)

  it("sends a part of what there is, and says that there is more", function()
    local text = ("x"):rep(99) .. "\n"
    local s = setup(text:rep(8000))
    s.file.times[LOG] = 100
    local request = s.show({ name = "web", since = 50 })
    assert.is_true(request.result.more)
    local got = #output(request)
    while request.result.more do
      request = s.show({ name = "web", from = request.result.at })
      got = got + #output(request)
    end
    assert.equal(800000, got)
  end)

  it("says that nobody knows yet, and goes on while the keeper is away", function()
    local s = setup("one\n")
    local request = s.show({ name = "web", follow = true })
    s.apps.known = false
    assert.equal("unavailable", s.show({ name = "web" }).code)
    s.timer.advance(1000)
    assert.is_false(request.closed)
  end)

  it("ends when the application is no longer there", function()
    local s = setup("one\n")
    local request = s.show({ name = "web", follow = true })
    s.rows[1] = nil
    s.timer.advance(200)
    assert.truthy(request.result.ended:find('"web"', 1, true))
  end)
end)
