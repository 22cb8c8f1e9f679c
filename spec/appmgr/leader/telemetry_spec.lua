local Problems = require("appmgr.problems")
local Telemetry = require("appmgr.leader.telemetry")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

describe("the leader's telemetry", function()
  local timer, problems, asked, fed, telemetry

  local function keys_of(request)
    local list = {}
    for position, operation in ipairs(request.operations) do list[position] = operation.key end
    return list
  end

  before_each(function()
    timer, asked, fed = fake_timer.new(), {}, {}
    problems = Problems.new({ log = fake_log.new(), now = os.time })
    local client = { encode_transaction = function(operations) return operations end }
    function client.transaction(_, operations, _, callback)
      local request = { operations = operations, callback = callback }
      function request.cancel() request.cancelled = true end
      asked[#asked + 1] = request
      return request
    end
    telemetry = Telemetry.new({
      client = client, timer = timer, problems = problems, interval_ms = 5000,
      on_feeds = function(feeds) fed[#fed + 1] = feeds[1] end,
    })
  end)

  local function answer() asked[#asked].callback({ status = 200, index = 7, body = "[]" }) end

  it("reads nothing where nobody is followed", function()
    telemetry:follow({})
    timer.advance(60000)
    assert.equal(0, #asked)
  end)

  it("reads at once, and then once in an interval", function()
    telemetry:follow({ "a", "b" })
    assert.same({ "status/a/resource", "status/b/resource" }, keys_of(asked[1]))
    telemetry:follow({ "a", "b" })
    assert.equal(1, #asked)
    answer()
    assert.equal("load", fed[1].header.topic)
    telemetry:follow({ "a", "b", "c" })
    timer.advance(4999)
    assert.equal(1, #asked)
    timer.advance(1)
    assert.equal(3, #keys_of(asked[2]))
  end)

  it("reads many hosts in several transactions, also when it is told the hosts again meanwhile", function()
    local hosts = {}
    for number = 1, 130 do hosts[number] = ("n%03d"):format(number) end
    telemetry.on_feeds = function() telemetry:follow(hosts) end
    telemetry:follow(hosts)
    for _ = 1, 3 do answer() end
    assert.same({ 64, 64, 2 }, { #asked[1].operations, #asked[2].operations, #asked[3].operations })
    assert.equal("status/n130/resource", asked[3].operations[2].key)
    assert.equal(3, #asked)
  end)

  it("says what it cannot read, and tries on", function()
    telemetry:follow({ "a" })
    asked[1].callback(nil, { message = "connection refused" })
    assert.truthy(problems:list()[1].text:find("connection refused", 1, true))
    timer.advance(5000)
    asked[2].callback({ status = 409, body = "" })
    assert.equal(1, #problems:list())
    timer.advance(5000)
    answer()
    assert.equal(0, #problems:list())
  end)

  it("ends, also from within an answer, and may begin again", function()
    telemetry:follow({ "a" })
    telemetry:stop()
    assert.is_true(asked[1].cancelled)
    telemetry.on_feeds = function() telemetry:stop() end
    telemetry:follow({ "b" })
    answer()
    timer.advance(60000)
    assert.equal(2, #asked)
    telemetry:follow({ "c" })
    assert.equal(3, #asked)
  end)
end)
