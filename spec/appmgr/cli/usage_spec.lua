local usage = require("appmgr.cli.usage")

local LOGS = usage.read([[
appmgr app logs NAME
Print the last lines.

  -n, --lines N    how many lines
  -f, --follow     go on
  --state-dir D    where]], true)

local function parse(spec, line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  return usage.parse(spec, words)
end

local function refusal(spec, line)
  local values, err = parse(spec, line)
  assert.is_nil(values)
  return err
end

describe("usage.read", function()
  it("finds name, call, summary and arguments", function()
    assert.equal("app logs", LOGS.name)
    assert.equal("Print the last lines.", LOGS.summary)
    assert.same({ name = "NAME", key = "name", optional = false, many = false }, LOGS.arguments[1])
  end)

  it("adds the options that commands share", function()
    assert.truthy(LOGS.text:find("--socket PATH", 1, true))
    assert.truthy(LOGS.text:find("--help", 1, true))
    local plain = usage.read("appmgr lua FILE [ARG...]\nRun a script.")
    assert.is_nil(plain.text:find("--socket", 1, true))
    assert.truthy(plain.text:find("Run a script.\n\n  -h, --help  print", 1, true))
  end)

  it("puts what is said of the options into one column", function()
    assert.truthy(LOGS.text:find("  -n, --lines N  how many lines\n  -f, --follow   go on\n", 1, true))
  end)
end)

describe("usage.parse", function()
  it("takes options before, after and between arguments", function()
    local expected = { name = "web", lines = 5, follow = true }
    assert.same(expected, parse(LOGS, "-n 5 web -f"))
    assert.same(expected, parse(LOGS, "--lines=5 --follow web"))
    assert.same(expected, parse(LOGS, "web -fn5"))
    assert.same({ name = "web", state_dir = "/x" }, parse(LOGS, "web --state-dir /x"))
  end)

  it("answers --help whatever else is missing", function()
    assert.same({ help = true }, parse(LOGS, "--help"))
    assert.same({ help = true }, parse(LOGS, "-h a b c"))
  end)

  it("names the nearest option to an unknown one", function()
    assert.equal('unknown option "--folow"; did you mean "--follow"?', refusal(LOGS, "web --folow"))
    assert.equal('unknown option "-x"', refusal(LOGS, "web -x"))
    assert.equal('unknown option "--lnes"; did you mean "--lines"?', refusal(LOGS, "web --lnes=3"))
  end)

  it("says what is missing, left over or of the wrong kind", function()
    assert.equal("NAME is missing", refusal(LOGS, ""))
    assert.equal('unexpected argument "b"', refusal(LOGS, "a b"))
    assert.equal('option "--lines" needs a value: --lines N', refusal(LOGS, "a -n"))
    assert.equal('--lines takes a whole number, not "x"', refusal(LOGS, "a -n x"))
    assert.equal('--lines takes a whole number, not "-3"', refusal(LOGS, "a -n -3"))
    assert.equal('option "--follow" takes no value', refusal(LOGS, "a --follow=yes"))
    assert.equal('option "--lines" needs a value that is not empty: --lines N', refusal(LOGS, "a --lines="))
  end)

  it("takes negative numbers, a lone dash and what follows -- as arguments", function()
    assert.equal("-3", parse(LOGS, "-3").name)
    assert.equal("-", parse(LOGS, "-").name)
    assert.equal("--follow", parse(LOGS, "-- --follow").name)
  end)

  it("collects many arguments, at least one where they are needed", function()
    local spec = usage.read("appmgr task rm NAME...\nDelete.")
    assert.same({ name = { "a", "b" } }, parse(spec, "a b"))
    assert.equal("NAME is missing", refusal(spec, ""))
  end)

  it("leaves everything after a script's name alone", function()
    local spec = usage.read("appmgr lua FILE [ARG...]\nRun.")
    assert.same({ file = "x.lua", arg = { "--help", "-x", "--" } }, parse(spec, "x.lua --help -x --"))
    assert.same({ file = "x.lua", arg = {} }, parse(spec, "x.lua"))
  end)
end)
