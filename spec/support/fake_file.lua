--- Files in a table; stands in for `core.file`.
--
--     local file = require("spec.support.fake_file").new({ ["/etc/a"] = "text" })
--     file.texts["/etc/a"]          -- what is written
--     file.refuse["/state/x"] = "No space left on device"
--     file.inodes["/log/a"], file.times["/log/a"], file.births["/log/a"]   -- what stat says; 1, 1000 and nil by default

local M = {}

--- @tparam[opt] table texts path → content
-- @treturn table a core.file with `texts`, `directories` (path → mode), `refuse` (path → reason), `writes` (count)
function M.new(texts)
  local file = { texts = texts or {}, directories = {}, refuse = {}, locks = {}, writes = 0,
    inodes = {}, times = {}, births = {} }

  function file.read(path)
    if file.refuse[path] then return nil, path .. ": " .. file.refuse[path] end
    if not file.texts[path] then return nil, path .. ": No such file or directory" end
    return file.texts[path]
  end

  function file.write_atomic(path, bytes)
    if file.refuse[path] then return nil, path .. ": " .. file.refuse[path] end
    file.texts[path] = bytes
    file.writes = file.writes + 1
    return true
  end

  file.replace = file.write_atomic

  function file.append(path, bytes)
    if file.refuse[path] then return nil, path .. ": " .. file.refuse[path] end
    file.texts[path] = (file.texts[path] or "") .. bytes
    return #file.texts[path]
  end

  function file.read_range(path, offset, max_bytes)
    local text, err = file.read(path)
    if not text then return nil, err end
    local from = offset < 0 and math.max(0, #text + offset) or offset
    local st = file.stat(path)
    st.offset = from
    return text:sub(from + 1, from + (max_bytes or 1 << 20)), st
  end

  function file.mkdir(path, mode)
    if file.refuse[path] then return nil, path .. ": " .. file.refuse[path] end
    file.directories[path] = mode or 493
    return true
  end

  function file.stat(path)
    if file.directories[path] then return { type = "directory", uid = 0 } end
    if file.texts[path] then
      return { type = "file", uid = 0, size = #file.texts[path], inode = file.inodes[path] or 1,
        born = file.births[path], mtime_s = file.times[path] or 1000 }
    end
    return nil, path .. ": No such file or directory"
  end

  function file.remove(path)
    if not file.texts[path] then return nil, path .. ": No such file or directory" end
    file.texts[path] = nil
    return true
  end

  function file.list(path)
    local names = {}
    for name in pairs(file.texts) do
      if name:sub(1, #path + 1) == path .. "/" then names[#names + 1] = name:sub(#path + 2) end
    end
    table.sort(names)
    return names
  end

  function file.lock(path)
    if file.locks[path] then return nil, path .. ": held by process " .. file.locks[path] end
    return { release = function() end }
  end

  return file
end

return M
