"""What every face of a node needs of a request, the API's and the dashboard's alike."""
