--- The units under a real systemd, on a machine that is this test's alone: tests/vm/run.sh.
local json = require("dkjson")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")
local machine = require("tests.vm.machine")

local must, shell, unit, running, wait_for = machine.must, machine.shell, machine.unit, machine.running, machine.wait_for

describe("a machine with systemd", function()
  local pids

  local function all_pids()
    local now = {}
    for _, name in ipairs{"web", "daemon", "polite"} do now[name] = running(name).pid end
    return now
  end

  local function web_has_limits()
    local web = running("web")
    assert.same({memory_mb = "cgroup", pids = "cgroup", cpu_max_percent = "cgroup"}, web.limits_enforced)
    assert.equal("52428800", machine.in_cgroup(web, "memory.max"))
    assert.equal("20", machine.in_cgroup(web, "pids.max"))
    assert.equal("25000 100000", machine.in_cgroup(web, "cpu.max"))
  end

  local function is_active(name) return shell("systemctl is-active " .. name) == "active" end

  --- Waits until another keeper than `pid` is the unit's, and answers the agent.
  local function wait_for_another(pid)
    wait_for("another keeper answers", function()
      local status = unit("appmgr-keeper", "MainPID") ~= pid and is_active("appmgr-keeper") and machine.status()
      return status and #status.problems == 0
    end)
  end

  setup(function()
    must("cmake --install build --prefix /usr")
    machine.configure()
    must("rm -f " .. machine.MARKS)
    must("systemctl daemon-reload && systemctl enable --now appmgr")
    pids = all_pids()
  end)

  teardown(function() loop.close_all() end)

  it("starts agent and keeper as units, and each application is in a cgroup of the keeper's", function()
    assert.is_true(is_active("appmgr") and is_active("appmgr-keeper"))
    local contained = machine.status().containment
    assert.equal("cgroup", contained.level)
    assert.equal(machine.KEEPER_CGROUP, contained.directory:match("^(.*)/[^/]+$"))
    assert.equal(tostring(pids.web), machine.in_cgroup(running("web"), "cgroup.procs"))
    assert.equal("", process.slurp(machine.KEEPER_CGROUP .. "/cgroup.procs"))
    web_has_limits()
  end)

  it("restarts the agent, and applications do not notice", function()
    must("systemctl restart appmgr")
    assert.same(pids, all_pids())
    must("systemctl kill -s KILL appmgr")
    wait_for("the agent is another one", function() return is_active("appmgr") and machine.status() end)
    assert.same(pids, all_pids())
  end)

  it("reloads and executes itself anew, and limits stay", function()
    must("systemctl daemon-reload && systemctl daemon-reexec && systemctl reload appmgr")
    web_has_limits()
    assert.same(pids, all_pids())
  end)

  it("knows the keeper after an upgrade: it has the pid it had", function()
    local keeper = unit("appmgr-keeper", "MainPID")
    must("appmgr keeper upgrade")
    assert.equal(keeper, unit("appmgr-keeper", "MainPID"))
    assert.is_true(is_active("appmgr-keeper"))
    web_has_limits()
    assert.same(pids, all_pids())
  end)

  it("starts a keeper that was killed again, however often, and it takes the applications over with their limits", function()
    for _ = 1, 7 do
      local keeper = unit("appmgr-keeper", "MainPID")
      must("kill -KILL " .. keeper)
      wait_for_another(keeper)
    end
    assert.same(pids, all_pids())
    web_has_limits()
    assert.equal("1", shell("pgrep -c -x appmgr-keeper"))
  end)

  it("restarts the keeper's unit, and applications do not notice", function()
    local keeper = unit("appmgr-keeper", "MainPID")
    must("systemctl restart appmgr-keeper")
    wait_for_another(keeper)
    assert.same(pids, all_pids())
    web_has_limits()
  end)

  it("stops both units, and applications go on until somebody stops them", function()
    must("systemctl stop appmgr appmgr-keeper")
    assert.equal("inactive inactive", (shell("systemctl is-active appmgr appmgr-keeper"):gsub("\n", " ")))
    local left = must("appmgr-keeper ls --state-dir /var/lib/appmgr")
    assert.truthy(left:find("web .*running +" .. pids.web .. " .*cgroup"), left)
    must("systemctl start appmgr")
    assert.same(pids, all_pids())
    must("systemctl stop appmgr appmgr-keeper && appmgr-keeper stop --state-dir /var/lib/appmgr")
    assert.equal("", machine.find("sleep 100000[123]")) -- from another cgroup, and the daemon too
    must("systemctl start appmgr")
    pids = all_pids()
  end)

  it("lets no daemon escape a stop, also after all that", function()
    assert.not_equal("", machine.find("sleep 1000002"))
    must("appmgr app disable daemon")
    wait_for("it is stopped", function() return machine.app("daemon").state == "disabled" end)
    assert.equal("", machine.find("sleep 1000002"))
    must("appmgr app enable daemon")
    pids.daemon = running("daemon").pid
  end)

  it("goes on when the kernel kills one application for memory", function()
    process.spit("/tmp/eater.json", json.encode{name = "eater", command = "tail /dev/zero & wait; exec sleep 1000004",
      restart = {attempts = 0}, resource_limit = {memory_mb = 16}})
    must("appmgr app add /tmp/eater.json")
    local row = wait_for("it is killed", function()
      local seen = machine.app("eater")
      return seen and seen.state == "failed" and seen
    end)
    assert.equal("out of memory: killed by the kernel at its limit of 16 MB", row.error)
    assert.is_true(is_active("appmgr-keeper"))
    assert.same(pids, all_pids())
    must("appmgr app rm eater")
  end)

  it("leaves: all is stopped as it wants to be", function()
    must("appmgr leave")
    assert.equal("", machine.find("sleep 100000[123]"))
    assert.equal("begun\nasked\nbegun\nasked\n", process.slurp(machine.MARKS))
    wait_for("the agent's unit has ended", function() return shell("systemctl is-active appmgr") == "inactive" end)
    must("systemctl start appmgr")
    all_pids()
  end)
end)

describe("a user without privileges", function()
  local HOME = "/home/ann"

  --- Runs an agent as ann, in a unit of the system with such properties. Returns its status and the row of its application.
  local function run_as_ann(properties)
    local text = must(("systemd-run -q --wait --pipe --collect -p User=ann %s sh %s/try.sh"):format(properties, HOME))
    local status, row = text:match("^(.-)\n%-%-\n(.*)$")
    return json.decode(status), json.decode(row)
  end

  setup(function()
    must("id ann || useradd -m ann")
    process.spit(HOME .. "/appmgr.json", json.encode{Applications = {
      {name = "own", command = "setsid sleep 1000005 & exec sleep 1000006", resource_limit = {memory_mb = 50, pids = 20}}}})
    process.spit(HOME .. "/try.sh", [[
      cd && rm -rf state && export APPMGR_SOCKET=$HOME/run/s
      appmgr agent $AGENT --config appmgr.json --state-dir state 2>log &
      until appmgr app ls 2>/dev/null | grep -q 'own.*running'; do sleep 0.1; done
      appmgr status --json; echo; echo --; appmgr app show --json own
      appmgr leave >/dev/null
    ]])
    must("chown -R ann " .. HOME)
  end)

  it("has sessions where no cgroup may be made, and is told why", function()
    local status, row = run_as_ann("")
    assert.equal("session", status.containment.level)
    assert.truthy(status.containment.reason:find("Permission denied", 1, true), status.containment.reason)
    assert.equal("session", row.containment)
    assert.same({memory_mb = "not enforced: no cgroup may be made here", pids = "rlimit, of all processes of its user"},
      row.limits_enforced)
  end)

  it("has cgroups without limits where the agent is beside the keeper, and is told why", function()
    local status, row = run_as_ann("-p Delegate=yes")
    assert.equal("cgroup", status.containment.level)
    assert.equal("cgroup", row.containment)
    assert.same({memory_mb = "not enforced: no memory controller: other processes are in the keeper's cgroup",
      pids = "rlimit, of all processes of its user"}, row.limits_enforced)
    wait_for("nothing is left", function() return machine.find("sleep 100000[56]") == "" end)
  end)

  it("has cgroups and limits with a keeper of its own, also under its own service manager", function()
    local units = HOME .. "/.config/systemd/user"
    must("loginctl enable-linger ann && mkdir -p " .. units)
    process.spit(units .. "/keeper.service", [[
[Service]
ExecStartPre=/bin/mkdir -p -m 700 %h/kept
ExecStart=/usr/bin/appmgr-keeper --state-dir %h/kept --linger-ms 1000000000
ExecStopPost=-/usr/bin/appmgr-keeper make-way --state-dir %h/kept
Restart=always
KillMode=process
KillSignal=SIGKILL
SuccessExitStatus=SIGKILL
Delegate=yes
]])
    process.spit(units .. "/agent.service", [[
[Service]
Type=notify
Environment=APPMGR_SOCKET=%h/run/s
ExecStart=/usr/bin/appmgr agent --await-keeper --config %h/appmgr.json --state-dir %h/kept
]])
    must("chown -R ann " .. HOME)
    local function as_ann(line)
      return must(("su ann -c 'export XDG_RUNTIME_DIR=/run/user/$(id -u) APPMGR_SOCKET=$HOME/run/s; %s'"):format(line))
    end
    local function own()
      return wait_for("it runs", function()
        local said, code = shell("su ann -c 'APPMGR_SOCKET=$HOME/run/s appmgr app show --json own'")
        local row = code == 0 and json.decode(said)
        return row and row.state == "running" and row.limits_enforced and row
      end)
    end
    wait_for("the user's manager is there", function() return shell("systemctl is-active user@$(id -u ann)") == "active" end)
    as_ann("systemctl --user daemon-reload && systemctl --user start keeper agent")
    local before = own()
    assert.same({memory_mb = "cgroup", pids = "cgroup"}, before.limits_enforced)
    local keeper = as_ann("systemctl --user show -P MainPID keeper")
    must("kill -KILL " .. keeper)
    wait_for("another keeper runs", function()
      local now = as_ann("systemctl --user show -P MainPID keeper")
      return now ~= "0" and now ~= keeper and as_ann("systemctl --user is-active keeper") == "active"
    end)
    wait_for("it is taken over", function()
      local row = own()
      return row.pid == before.pid and row.limits_enforced.memory_mb == "cgroup"
    end)
    as_ann("systemctl --user stop agent && appmgr-keeper stop --state-dir $HOME/kept && systemctl --user stop keeper")
    assert.equal("", machine.find("sleep 100000[56]"))
  end)
end)
