local application = require("appmgr.application")
local output_fields = require("appmgr.output_fields")

local function errors_of(output)
  local _, findings = application.read({ command = "x", output = output })
  return table.concat(findings.errors, "\n")
end

describe("how output is kept", function()
  it("is bounded where nothing is said", function()
    assert.same({ max_bytes = 10 << 20, files = 5, waits = false }, output_fields.terms(nil))
    assert.same({ max_bytes = 10 << 20, files = 5, waits = true }, output_fields.terms({ on_full_disk = "block" }))
  end)

  it("is as the document says", function()
    local app = assert(application.read({ command = "x", output = { max_mb = 0.5, files = 1, on_full_disk = "drop" } }))
    assert.same({ max_mb = 0.5, files = 1, on_full_disk = "drop" }, app.output)
    assert.same({ max_bytes = 1 << 19, files = 1, waits = false }, output_fields.terms(app.output))
  end)

  it("is refused where it cannot be", function()
    assert.matches("output: must be an object", errors_of(3))
    assert.matches("output.files", errors_of({ files = 0 }))
    assert.matches("output.max_mb", errors_of({ max_mb = 0 }))
    assert.matches('output.on_full_disk: must be "drop"', errors_of({ on_full_disk = "wait" }))
  end)
end)
