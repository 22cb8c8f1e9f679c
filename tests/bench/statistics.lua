--- Medians, percentiles and the table that the benchmark prints.
local M = {}

--- The value below which `share` of the samples lie (nearest rank).
function M.percentile(samples, share)
  local sorted = table.move(samples, 1, #samples, 1, {})
  table.sort(sorted)
  return sorted[math.max(1, math.ceil(#sorted * share))]
end

function M.median(samples)
  return M.percentile(samples, 0.5)
end

--- "5.31 (p99 9.02, 4.80 to 11.40, n=200)"
function M.spread(samples, digits)
  local number = ("%%.%df"):format(digits or 2)
  local text = ("%s  (p99 %s, min %s, max %s, n=%%d)"):format(number, number, number, number)
  return text:format(M.median(samples), M.percentile(samples, 0.99), M.percentile(samples, 0), M.percentile(samples, 1), #samples)
end

--- Prints rows of texts, the columns aligned.
function M.print(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for column, text in ipairs(row) do
      widths[column] = math.max(widths[column] or 0, #text)
    end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for column, text in ipairs(row) do
      cells[column] = text .. (" "):rep(widths[column] - #text)
    end
    print((table.concat(cells, "  "):gsub("%s+$", "")))
  end
end

return M
