-- Round robin: nodes take turns in the order of their names, whatever they
-- carry. Where the turn stands follows from how many replicas are placed, so a new leader
-- goes on where the last one stopped.

return {
  api = 1,
  name = "round_robin",
  reads = { "cluster.replicas" },

  score = function(_, node, cluster)
    return -((node.position - cluster.replicas) % cluster.nodes)
  end,
}
