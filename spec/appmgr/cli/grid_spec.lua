local grid = require("appmgr.cli.grid")

describe("grid.format", function()
  it("aligns columns, numbers to the right, without trailing blanks", function()
    assert.equal(table.concat({
      "NAME   PID  STATE",
      "a        7  ok",
      "bravo   42  -",
    }, "\n"), grid.format({ "NAME", ">PID", "STATE" }, { { "a", 7, "ok" }, { "bravo", 42, nil } }))
  end)

  it("counts characters, not bytes, and keeps a row on its line", function()
    assert.equal("N   X\né…  1\na   b c", grid.format({ "N", "X" }, { { "é…", 1 }, { "a", "b\nc" } }))
  end)
end)

describe("grid.list", function()
  it("aligns values and leaves out pairs without one", function()
    assert.equal("a     1\nlong  2", grid.list({ { "a", 1 }, { "longest of all", nil }, { "long", 2 } }))
  end)

  it("shows what would move the cursor, and does not do it", function()
    assert.equal("command  sh -c 'a\\nb' \\x1b[2J", grid.list({ { "command", "sh -c 'a\nb' \27[2J" } }))
  end)
end)

describe("numbers", function()
  it("are short enough for a table", function()
    assert.equal("512 B", grid.size(512))
    assert.equal("1.5 KiB", grid.size(1536))
    assert.equal("3.0 GiB", grid.size(3 * 1024 ^ 3))
    assert.equal("7 s", grid.duration(7.9))
    assert.equal("5 min 3 s", grid.duration(303))
    assert.equal("2 h", grid.duration(7200))
    assert.equal("3 d 4 h", grid.duration(3 * 86400 + 4 * 3600 + 5))
    assert.equal("1 task", grid.count(1, "task"))
    assert.equal("0 tasks", grid.count(0, "task"))
  end)
end)
