-- Zone spread: the replicas of a task evenly over the values of a label, so that a zone that fails takes its share and
-- no more; within a zone as spread does. A task with a `spread` of its own keeps it.

return {
  api = 1,
  name = "zone_spread",
  reads = { "node.replicas", "node.task_replicas" },
  options = {
    label = { type = "string", default = "zone", description = "the label whose values are the zones" },
  },

  spread = function(options) return { options.label } end,

  score = function(_, node)
    return -(node.task_replicas * 1000000 + node.replicas)
  end,
}
