--- The machine was booted anew, in good order or not (APPMGR_VM_STAGE); systemd_spec.lua left the units enabled and running.
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")
local machine = require("tests.vm.machine")

describe("a machine that was booted anew", function()
  local orderly = os.getenv("APPMGR_VM_STAGE") == "rebooted"

  teardown(function() loop.close_all() end)

  it("runs each application once, with its limits", function()
    for _, name in ipairs{"web", "daemon", "polite"} do machine.running(name) end
    for _, command in ipairs{"sleep 1000001", "sleep 1000002", "sleep 1000003"} do
      assert.truthy(machine.find(command):match("^%d+$"), command)
    end
    assert.equal("52428800", machine.in_cgroup(machine.running("web"), "memory.max"))
    assert.same({}, machine.status().problems)
  end)

  it("has stopped them before, if it could", function()
    -- systemd_spec.lua: begun, stopped twice and begun again. Then the reboot.
    local marks = ("begun\nasked\n"):rep(3) .. "begun\n"
    assert.equal(orderly and marks or marks .. "begun\n", process.slurp(machine.MARKS))
  end)

  it("says that what was kept is of another boot, where the machine went down without a word", function()
    local log = machine.must("journalctl -b -u appmgr-keeper -u appmgr --no-pager -o cat")
    assert.equal(not orderly, log:find("of an earlier boot", 1, true) ~= nil, log)
    machine.must("sync")
  end)
end)
