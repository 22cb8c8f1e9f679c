local fake_context = require("spec.support.fake_context")
local names = require("appmgr.cli.commands")
local dispatch = require("appmgr.cli.dispatch")

local function run(...)
  local context = fake_context.new({})
  return fake_context.run(context, ...), context.out(), context.err()
end

describe("the command line", function()
  it("prints the version and an overview", function()
    assert.same({ 0, "appmgr 9.9.9\n", "" }, { run("--version") })
    local code, out = run("--help")
    assert.equal(0, code)
    for _, name in ipairs(names) do assert.truthy(out:find("  " .. name, 1, true), name) end
  end)

  it("is used wrongly without a command", function()
    local code, out, err = run()
    assert.equal(2, code)
    assert.equal("", out)
    assert.truthy(err:find("usage: appmgr COMMAND", 1, true))
  end)

  it("prints help for every command, and it fits a terminal", function()
    for _, name in ipairs(names) do
      local words = {}
      for word in name:gmatch("%S+") do words[#words + 1] = word end
      words[#words + 1] = "--help"
      local code, out = run(table.unpack(words))
      assert.equal(0, code, name)
      assert.equal("usage: appmgr " .. name, out:sub(1, #"usage: appmgr " + #name))
      for line in out:gmatch("[^\n]+") do assert.is_true(utf8.len(line) <= 104, name .. ": " .. line) end
      assert.equal(name, dispatch.load(name).spec.name)
    end
  end)

  it("prints help for groups and through the word help", function()
    local code, out = run("task", "--help")
    assert.equal(0, code)
    assert.truthy(out:find("appmgr task scale NAME COUNT", 1, true))
    code, out = run("help", "task", "rm")
    assert.equal(0, code)
    assert.truthy(out:find("usage: appmgr task rm", 1, true))
  end)

  it("answers unknown words with the nearest known one and exit code 2", function()
    local function refused(expected, ...)
      local code, out, err = run(...)
      assert.equal(2, code)
      assert.equal("", out)
      assert.truthy(err:find(expected, 1, true), err)
    end
    refused('there is no command "stauts"; did you mean "appmgr status"?', "stauts")
    refused('there is no command "xyzzy"\n', "xyzzy")
    refused('"appmgr task" has no command "aply"; did you mean "appmgr task apply"?', "task", "aply")
    refused('"appmgr task" has no command "xyzzy"; it has: apply, show, scale, enable, disable, restart, rm', "task", "xyzzy")
    refused('"appmgr task" has no command "ls"; did you mean "appmgr tasks"?', "task", "ls")
    refused('"appmgr node" has no command "list"; did you mean "appmgr nodes"?', "node", "list")
    refused('"appmgr task" needs one of: apply, show, scale, enable, disable, restart, rm', "task")
    refused('unknown option "--jsno"; did you mean "--json"?\ntry "appmgr status --help"', "status", "--jsno")
    refused("options stand after the command: appmgr COMMAND --socket", "--socket", "x", "status")
  end)

  it("takes the socket from the option, the environment, or the usual place", function()
    local context = fake_context.new({ ["app.list"] = {} })
    assert.equal("/run/appmgr/appmgr.sock", context.socket)
    fake_context.run(context, "app", "ls", "--socket", "/x.sock")
    assert.equal("/x.sock", context.socket)
    context = fake_context.new({}, { environment = { APPMGR_SOCKET = "/y.sock" } })
    assert.equal("/y.sock", context.socket)
  end)

  it("fails with exit code 1 and the reason when the agent cannot be asked", function()
    local code, out, err = run("status")
    assert.same({ 1, "", "appmgr: no agent answers\n" }, { code, out, err })
  end)

  it("runs scripts and hands on their exit code", function()
    assert.equal(9, (run("lua", "seven.lua", "--a", "-b")))
  end)
end)
