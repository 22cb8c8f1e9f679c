local application = require("appmgr.application")

local function read(fields)
  fields.command = "x"
  local app, findings = application.read(fields)
  return app, table.concat(findings.errors, "\n"), findings
end

describe("the fields of a run", function()
  it("come to commands, timeouts and a check", function()
    local app = read({
      init_command = "prepare it", fini_command = "a && b", ready = "fd", reload_signal = "HUP",
      health_check = { http = "https://localhost/health", interval_seconds = 2, restart = true },
    })
    assert.same({ "prepare", "it" }, app.init_argv)
    assert.same({ "/bin/sh", "-c", "a && b" }, app.fini_argv)
    assert.same({ 60, 60, 3, 60, 1 }, {
      app.init_timeout, app.fini_timeout, app.ready_fd, app.ready_timeout, app.reload_signal,
    })
    assert.same({
      url = "https://localhost/health", interval_ms = 2000, timeout_ms = 5000, healthy_threshold = 1,
      unhealthy_threshold = 3, restart = true,
    }, app.check)
  end)

  it("take the command of a check in either place, and the rest beside it", function()
    assert.same({ "test", "-e", "x" }, { table.unpack(read({ health_check_cmd = { "test", "-e", "x" } }).check.argv) })
    local app = read({ health_check_cmd = "look", health_check = { timeout_seconds = 0.5 } })
    assert.same({ { "look" }, 500 }, { app.check.argv, app.check.timeout_ms })
    assert.same({ "look" }, read({ health_check = { cmd = "look" } }).check.argv)
  end)

  it("take a port of this node, or a host with one", function()
    for written, address in pairs({ [80] = "127.0.0.1:80", ["db.example:5432"] = "db.example:5432", ["[::1]:80"] = "[::1]:80" }) do
      assert.equal(address, read({ health_check = { tcp = written } }).check.address)
    end
    for _, wrong in ipairs({ 0, 65536, 1.5, "80", "a b:80", "host:0", "::1:80x", true }) do
      assert.matches("health_check.tcp: must be a port", select(2, read({ health_check = { tcp = wrong } })), 1, true)
    end
  end)

  it("may name the ports that a replica is given, and nothing else of its environment", function()
    assert.is_table(read({ health_check = { http = "http://127.0.0.1:${APPMGR_PORT_HTTP}/" } }))
    assert.is_table(read({ health_check = { tcp = "localhost:${APPMGR_PORT_DB_2}" } }))
    assert.matches("variables of ports only", select(2, read({ health_check = { http = "http://x/${SECRET}" } })))
    assert.is_nil(read({ health_check = { tcp = "localhost:${SECRET}" } }))
  end)

  it("are refused where they say nothing, or two things", function()
    for text, fields in pairs({
      ["init_timeout: there is no init_command"] = { init_timeout = 1 },
      ["fini_timeout: there is no fini_command"] = { fini_timeout = 1 },
      ['ready_fd: needs "ready": "fd"'] = { ready = "health", ready_fd = 4, health_check_cmd = "x" },
      ["ready_timeout: needs ready"] = { ready_timeout = 4 },
      ['ready: "health" needs health_check'] = { ready = "health" },
      ["ready: nothing waits for a short run"] = { ready = "fd", schedule = "@daily" },
      ["health_check: says not what to look at"] = { health_check = { interval_seconds = 1 } },
      ["is enough"] = { health_check = { tcp = 80 }, health_check_cmd = "x" },
      ['ready: must be "fd"'] = { ready = "soon" },
      ["health_check.http: must be a URL"] = { health_check = { http = "ftp://x" } },
      ["health_check.interval_seconds: must be a number from 0.1"] = { health_check = { tcp = 1, interval_seconds = 0 } },
      ["health_check: must be an object"] = { health_check = "true" },
      ["init_command: must not be empty"] = { init_command = " " },
      ["reload_signal: must be a signal"] = { reload_signal = "HUB" },
    }) do
      local app, errors = read(fields)
      assert.is_nil(app)
      assert.truthy(errors:find(text, 1, true), errors)
    end
  end)

  it("warn of what is unknown inside", function()
    local _, _, findings = read({ health_check = { tcp = 1, intervall_seconds = 2 } })
    assert.matches('did you mean "interval_seconds"', findings.warnings[1])
  end)
end)
