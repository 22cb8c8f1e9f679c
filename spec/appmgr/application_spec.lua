local core = require("spec.support.core")
local application = require("appmgr.application")

local function errors_of(document)
  local app, findings = application.read(document)
  assert.is_nil(app)
  return table.concat(findings.errors, "\n")
end

describe("application.read", function()
  it("fills in what a document leaves out", function()
    local app, findings = application.read({ command = "sleep 30" })
    assert.same({ errors = {}, warnings = {}, unsupported = {} }, findings)
    assert.same({
      command = "sleep 30", argv = { "sleep", "30" }, env = {}, status = 1, cache_lines = 20, stop_signal = 15,
      stop_timeout = 10, restart = { interval_seconds = 60, delay_seconds = 1, max_delay_seconds = 60 },
    }, app)
  end)

  it("keeps what is written and normalises signals and numbers", function()
    local app = application.read({
      name = "web", command = { "/bin/echo", "a b", "" }, user = "www-data", working_dir = "/srv",
      env = { A = "1", B = 2 },
      status = 0, cache_lines = 5.0, stop_signal = "SIGINT", stop_timeout = 0.5, comments = "c", description = "d",
      restart = { attempts = 3, delay_seconds = 0 },
    })
    assert.same({ "/bin/echo", "a b", "" }, app.argv)
    assert.same({ A = "1", B = "2" }, app.env)
    assert.equal("integer", math.type(app.cache_lines))
    assert.equal(2, app.stop_signal)
    assert.same({ attempts = 3, delay_seconds = 0, interval_seconds = 60, max_delay_seconds = 60 }, app.restart)
  end)

  it("takes users by name, by number, and by user and group as numbers", function()
    for _, user in ipairs({ "www-data", "_apt", "1000", "1000:100" }) do
      assert.equal(user, application.read({ name = "web", command = "x", user = user }).user)
    end
    for _, user in ipairs({ "1000:", ":100", "1:2:3", "root:root", "1000: 100", "-1" }) do
      assert.truthy(errors_of({ name = "web", command = "x", user = user }):find("uid:gid", 1, true), user)
    end
  end)

  it("names each wrong field and why", function()
    local text = errors_of({
      command = "x", name = "a/b", user = "a b", working_dir = "srv", status = 2, cache_lines = -1, stop_signal = "FOO",
      stop_timeout = "10", restart = 5, comments = 1, env = { "x" },
    })
    for _, field in ipairs({ "name", "user", "working_dir", "status", "cache_lines", "stop_signal", "stop_timeout",
      "restart", "comments", "env" }) do
      assert.truthy(text:find(field .. ": ", 1, true), field)
    end
  end)

  it("reads what a process is given beside its command", function()
    local app = application.read({ command = "x", nice = -5, umask = "0027", limits = { open_files = 4096 }, no_new_privs = true })
    assert.same({ -5, 23, { open_files = 4096 }, true }, { app.nice, app.umask, app.limits, app.no_new_privs })
    assert.equal(0, application.read({ command = "x", umask = "0" }).umask)
    local text = errors_of({ command = "x", nice = 20, umask = "028", limits = { open_files = 2 }, no_new_privs = 1 })
    for _, field in ipairs({ "nice", "umask", "limits.open_files", "no_new_privs" }) do
      assert.truthy(text:find(field .. ": ", 1, true), field)
    end
    for _, umask in ipairs({ 22, "", "7777", "1000", "0x1", "99" }) do
      assert.truthy(errors_of({ command = "x", umask = umask }):find("umask: ", 1, true), umask)
    end
    local _, findings = application.read({ command = "x", limits = { open_fiels = 5 } })
    assert.matches('did you mean "open_files"', findings.warnings[1])
  end)

  it("asks for a new process when what it is given changes, not when nothing is written out", function()
    local function hash(document)
      return application.process_hash(assert(application.read(document)), core.json, core.codec)
    end
    local plain = hash({ command = "x" })
    assert.equal(plain, hash({ command = "x", limits = {}, no_new_privs = false }))
    for _, document in ipairs({ { nice = 0 }, { umask = "027" }, { limits = { open_files = 9 } }, { no_new_privs = true } }) do
      document.command = "x"
      assert.not_equal(plain, hash(document))
    end
  end)

  it("needs a command that can be executed", function()
    for _, command in ipairs({ "", "  ", {}, { "" }, { 1 }, 7, "a\0b", { "a", "b\0" } }) do
      assert.truthy(errors_of({ command = command }):find("command: ", 1, true))
    end
    assert.truthy(errors_of({}):find("command: is missing", 1, true))
    assert.truthy(errors_of({ "x" }):find("must be an object", 1, true))
    assert.truthy(errors_of("x"):find("must be an object", 1, true))
  end)

  it("never repeats a value of env that stands in its name by mistake", function()
    local text = errors_of({ command = "x", env = { ["TOKEN=s3cret"] = "" } })
    assert.is_nil(text:find("s3cret", 1, true))
    assert.truthy(text:find('"TOKEN=…"', 1, true), text)
  end)

  it("never repeats a value of env", function()
    local text = errors_of({ command = "x", env = { TOKEN = { "s3cret" }, PASSWORD = "s3cret\0" } })
    assert.is_nil(text:find("s3cret", 1, true))
  end)

  it("keeps a typing mistake apart from a promise it cannot keep", function()
    local app, findings = application.read({
      command = "x", comand = 1, restart = { delay = 1 },
    })
    assert.truthy(app)
    assert.same({}, findings.unsupported)
    assert.equal('comand: unknown field, it has no effect; did you mean "command"?', findings.warnings[1])
    assert.truthy(findings.warnings[2]:find("restart.delay: unknown field", 1, true))
  end)
end)

describe("application.read_local", function()
  it("refuses what a task would only be warned about", function()
    local app, errors = application.read_local({ command = "x", comand = 1 })
    assert.is_nil(app)
    assert.same({
      "name: is missing", 'comand: unknown field; did you mean "command"?',
    }, errors)
  end)

  it("takes a good one", function()
    assert.equal("ping", application.read_local({ name = "ping", command = "ping 127.0.0.1" }).name)
  end)
end)

describe("command.argv", function()
  local argv = require("appmgr.command").argv

  it("executes plain words directly and leaves the rest to a shell", function()
    assert.same({ "a", "--b=c", "1" }, argv(" a  --b=c\t1 "))
    for _, text in ipairs({ "a | b", "a 'b c'", "a $HOME", "X=1 a", "exec a", "a;b", "a\nb", "a *",
      "cd /", "a \\b", "~/a" }) do
      assert.same({ "/bin/sh", "-c", text }, argv(text))
    end
  end)
end)

describe("versions", function()
  local function version(text)
    return application.version(core.json.decode(text), core.json, core.codec)
  end

  it("do not depend on the order of keys or on blanks", function()
    assert.equal(version('{"a":1,"b":[1,2],"c":{}}'), version(' { "c":{},\n"b":[1,2], "a":1}'))
    assert.equal(16, #version("{}"))
  end)

  it("differ where the content differs", function()
    local seen = {}
    for _, text in ipairs({ "{}", '{"a":1}', '{"a":2}', '{"a":"1"}', '{"b":1}', '{"a":[1,2]}',
      '{"a":[2,1]}', '{"a":[]}', '{"a":{}}' }) do
      assert.is_nil(seen[version(text)], text)
      seen[version(text)] = true
    end
  end)

  it("have a process hash that only fields of the process change", function()
    local function hash(document)
      document.command = document.command or "a b"
      return application.process_hash(application.read(document), core.json, core.codec)
    end
    local base = hash({})
    for _, same in ipairs({ { stop_timeout = 1 }, { cache_lines = 1 }, { comments = "x" },
      { restart = { attempts = 1 } }, { name = "n" }, { stop_signal = 1 }, { status = 0 },
      { command = { "a", "b" } }, { env = {} } }) do
      assert.equal(base, hash(same))
    end
    for _, other in ipairs({ { command = "a c" }, { user = "u" }, { working_dir = "/" }, { env = { A = "1" } } }) do
      assert.not_equal(base, hash(other))
    end
  end)
end)
