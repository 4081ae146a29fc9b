"""A Content-Security-Policy as strict as a site may have: nothing inline, nothing from elsewhere."""

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def content_security_policy(get_response):
    def with_policy(request):
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return with_policy
