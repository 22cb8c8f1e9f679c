-- Spread: the node with the fewest replicas of this task, then the one with the
-- fewest replicas at all. One node that fails takes as little as possible with it.

return {
  api = 1,
  name = "spread",
  reads = { "node.replicas", "node.task_replicas" },

  -- An assignment holds far fewer than a million replicas, so the task's own
  -- count always outweighs the total.
  score = function(_, node)
    return -(node.task_replicas * 1000000 + node.replicas)
  end,
}
