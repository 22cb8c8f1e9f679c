local application = require("appmgr.application")
local permits = require("appmgr.permits")

local function refusal(rules, document)
  local reason = permits.refusal(permits.read(rules), assert(application.read(document)))
  return reason and (reason.args and reason.args.what .. " " .. reason.args.value or reason.code)
end

describe("what tasks may run on a node", function()
  it("is anything where no rules stand", function()
    assert.is_nil(permits.read(nil))
    assert.is_nil(refusal(nil, { command = "x", user = "root" }))
    assert.is_nil(refusal({ enabled = true, owner = "root" }, { command = "x" }))
  end)

  it("may be nothing", function()
    assert.equal("no_tasks", refusal({ enabled = false }, { command = "x" }))
    assert.equal("no_tasks", refusal("nonsense", { command = "x" }))
  end)

  it("is limited to users as they are written", function()
    local rules = { users = { "www-data" }, owner = "root" }
    assert.is_nil(refusal(rules, { command = "x", user = "www-data" }))
    assert.equal("user 33", refusal(rules, { command = "x", user = "33" }))
    assert.equal("user root", refusal(rules, { command = "x" }))
    assert.is_nil(refusal({ users = { "root" }, owner = "root" }, { command = "x" }))
    assert.equal("user root", refusal({ users = {}, owner = "root" }, { command = "x" }))
    assert.equal("user of the agent", refusal({ users = { "root" } }, { command = "x" }))
  end)

  it("has no capabilities beyond those of a user that is allowed", function()
    local document = { command = "x", user = "nobody", capabilities = { "sys_admin", "chown" } }
    assert.is_nil(refusal({ commands = { "/bin/x" } }, { command = "x", user = "nobody", capabilities = { "chown" } }))
    assert.equal("capabilities chown, sys_admin", refusal({ users = { "nobody" } }, document))
    document.capabilities = {}
    assert.is_nil(refusal({ users = { "nobody" } }, document))
    assert.is_nil(refusal({ users = { "root" }, owner = "root" }, { command = "x", capabilities = { "chown" } }))
  end)

  it("is limited to programs", function()
    local rules = { commands = { "/usr/bin/tr*", "/opt/*/bin/serve" } }
    for _, command in ipairs({ "/usr/bin/true", "/usr/bin/tr a b", "/opt/shop/bin/serve", "true", "serve --all" }) do
      assert.is_nil(refusal(rules, { command = command }))
    end
    assert.equal("command /bin/sh", refusal(rules, { command = "true | true" }))
    for _, command in ipairs({ "/usr/bin/id", "/opt/a/b/bin/serve", "/usr/bin/tr/../id", "/usr//bin/true", "./true",
      "id", "/usr/bin/tr/x" }) do
      assert.equal("command " .. command, refusal(rules, { command = command }))
    end
  end)

  it("is limited in the commands around the application, too", function()
    local rules = { commands = { "/bin/true" } }
    for _, field in ipairs({ "init_command", "fini_command", "health_check_cmd" }) do
      assert.is_nil(refusal(rules, { command = "true", [field] = "/bin/true" }))
      assert.equal("command /bin/false", refusal(rules, { command = "true", [field] = "/bin/false" }))
    end
  end)

  it("is not what a loader can be told to run instead", function()
    local document = { command = "/bin/true", env = { LD_PRELOAD = "/tmp/x.so", LD_AUDIT = "y" } }
    assert.equal("environment LD_AUDIT", refusal({ commands = { "/bin/*" } }, document))
    assert.is_nil(refusal({ users = { "root" }, owner = "root" }, document))
  end)

  it("matches patterns as the keeper does", function()
    assert.is_true(permits.matches("/a.b/*-[x]", "/a.b/1-[x]"))
    assert.is_false(permits.matches("/a.b/*", "/aXb/1"))
    assert.is_false(permits.matches("/a/*", "/a/b/c"))
    assert.is_true(permits.is_plain_path("/a/b"))
    for _, path in ipairs({ "a/b", "/a/./b", "/a/..", "/a//b", "" }) do assert.is_false(permits.is_plain_path(path)) end
  end)
end)
