local since = require("appmgr.cli.since")

describe("a moment as people write it", function()
  local now = os.time({ year = 2026, month = 11, day = 23, hour = 12, min = 0, sec = 0 })

  local function text_of(text)
    local moment, err = since.read(text, now)
    return moment and os.date("%Y-%m-%d %H:%M:%S", moment), err
  end

  it("is a span before now", function()
    assert.equal(now - 600, since.read("10m", now))
    assert.equal(now - 5400, since.read("1h30m", now))
    assert.equal(now - 2 * 86400, since.read("2d", now))
    assert.equal(now - 30, since.read("30s", now))
  end)

  it("is a time of today, or of yesterday when it is still to come", function()
    assert.equal("2026-11-23 09:30:00", text_of("9:30"))
    assert.equal("2026-11-23 12:00:00", text_of("12:00"))
    assert.equal("2026-11-22 14:30:05", text_of("14:30:05"))
  end)

  it("is a date with or without a time", function()
    assert.equal("2026-11-01 14:30:00", text_of("2026-11-01 14:30:00"))
    assert.equal("2026-11-01 14:30:00", text_of("2026-11-01T14:30"))
    assert.equal("2026-11-01 00:00:00", text_of("2026-11-01"))
  end)

  it("is refused when it is none, with examples", function()
    for _, text in ipairs({ "", "10", "10x", "m", "25:00", "12:60", "2026-13-01", "2026-06-31", "2026-11-01 9", "-5m", "soon" }) do
      local moment, err = since.read(text, now)
      assert.is_nil(moment)
      assert.matches("is no time; write 10m", err)
    end
  end)
end)
