-- Asks keyturn about the key of a request, for haproxy.cfg beside it.  It goes to /etc/haproxy/keyturn.lua.
-- The credential of the gateway is read when HAProxy starts.

local ASKED = "http://127.0.0.1:8786/v1/authz"
local PASSED_ON = { "content-type", "www-authenticate", "retry-after", "x-keyturn-code" }
local VARIABLES = {
    ["x-keyturn-code"] = "txn.keyturn_code",
    ["x-keyturn-key-id"] = "txn.keyturn_key_id",
    ["x-keyturn-account-id"] = "txn.keyturn_account_id",
    ["x-keyturn-permissions"] = "txn.keyturn_permissions",
}

local credential = os.getenv("KEYTURN_CREDENTIAL")
if credential == nil or credential == "" then
    error("KEYTURN_CREDENTIAL is not set")
end

-- All values of a header, as the client of HAProxy wants them.
local function all(headers, name)
    local values = {}
    for at = 0, #(headers[name] or {}) do
        if headers[name] ~= nil and headers[name][at] ~= nil then
            values[#values + 1] = headers[name][at]
        end
    end
    return values
end

local function question(txn)
    local given = txn.http:req_get_headers()
    local asked = {
        ["host"] = { "keyturn" },
        ["x-keyturn-credential"] = { "Bearer " .. credential },
        ["x-keyturn-permission"] = { txn:get_var("txn.keyturn_permission") },
        ["x-forwarded-for"] = { txn.sf:src() }, -- alone: what the caller said of itself is not passed on
    }
    for _, name in ipairs({ "authorization", "x-api-key", "user-agent" }) do
        local values = all(given, name)
        if #values > 0 then
            asked[name] = values -- each of them: keyturn refuses two
        end
    end
    return asked
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs(PASSED_ON) do
        for _, value in ipairs(all(headers, name)) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(body)
    txn:done(reply)
end

core.register_action("keyturn", { "http-req" }, function(txn)
    local answer = core.httpclient():get({ url = ASKED, headers = question(txn) })
    local headers = answer.headers or {}
    for name, variable in pairs(VARIABLES) do
        txn:set_var(variable, all(headers, name)[1] or "")
    end
    if answer.status == 200 then
        txn:set_var("txn.keyturn_status", 200)
    elseif answer.status ~= nil and answer.status >= 400 and answer.status < 500 then
        refuse(txn, answer.status, headers, answer.body or "")
    end
    -- Anything else is refused by the line after this action.
end, 0)
