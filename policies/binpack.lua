-- Binpack: the node that is fullest in what the task asks for, so that others stay
-- empty: for whatever needs a whole one, or to be switched off.

return {
  api = 1,
  name = "binpack",
  reads = { "node.used" },

  score = function(task, node)
    local share = 0
    for name in pairs(task.resources) do
      local has = node.capacity[name]
      if has and has > 0 then share = share + (node.used[name] or 0) / has end
    end
    return share
  end,
}
